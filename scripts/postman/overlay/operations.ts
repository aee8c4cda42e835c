import { call, type Folder, script } from "../Overlay.ts"

/** The operator's routes are not there without a token of the server's, and open to nobody without ours. */
const operator = {
  as: "adminToken",
  expect: [200, 401, 404],
  tests: script`
    const given = pm.variables.get("adminToken")
    if (given) pm.test("It is open with the token", () => pm.response.to.have.status(200))
    else pm.test("It is closed without a token: 404 when the server has none, else 401", () =>
      pm.expect(pm.response.code + " " + pm.response.json().code).to.be.oneOf(["404 not_found", "401 unauthenticated"]))
  `
}

export const operations: Folder = {
  name: "9. Health and operations",
  about:
    "For load balancers and operators. The last two need the server's ADMIN_TOKEN in the collection's variable `adminToken`; while that is empty they must refuse.",
  items: [
    call("getHealth", { name: "Is it alive", expect: 200 }),
    call("getReadiness", {
      name: "Is it ready",
      expect: 200,
      tests: script`
        pm.test("All it needs is there", () => pm.expect(Object.values(pm.response.json().checks)).to.not.include("failed"))
      `
    }),
    call("getQueue", { ...operator, name: "The queue" }),
    call("getMetrics", {
      ...operator,
      name: "Metrics",
      tests: [
        operator.tests,
        script`
          if (pm.response.code === 200) pm.test("It is Prometheus' text", () => {
            pm.expect(pm.response.headers.get("Content-Type")).to.match(/^text\/plain/)
            pm.expect(pm.response.text()).to.match(/^# TYPE chat_queue_jobs gauge$/m)
          })
        `
      ].join("\n")
    })
  ]
}
