import { call, type Folder, keep, script } from "../Overlay.ts"

const ask = { path: { id: "{{roomId}}" }, query: { wait: "20" }, body: { content: "And at dawn?" } }

export const quota: Folder = {
  name: "4. Quota",
  about:
    "Basic has 5 prompts a UTC day, counted exactly whatever asks at once. The sixth is refused until midnight, or until one subscribes.",
  items: [
    call("getMe", {
      name: "What is left of today",
      expect: 200,
      tests: [
        keep({ dailyLimit: "quota.limit", remaining: "quota.remaining" }),
        script`
          const { quota } = pm.response.json()
          pm.test("Used and remaining add up to the limit", () => pm.expect(quota.used + quota.remaining).to.equal(quota.limit))
        `
      ].join("\n")
    }),
    call("sendMessage", {
      ...ask,
      name: "Ask until nothing is left",
      about: "The runner sends this again until the answer says that no prompt remains, at most 30 times.",
      expect: 201,
      before: script`
        if (String(pm.variables.get("remaining")) === "0") pm.execution.skipRequest()
      `,
      tests: script`
        const { quota } = pm.response.json()
        const tries = Number(pm.variables.get("tries") || 0) + 1
        const goesOn = quota.remaining > 0 && tries < 30
        pm.test("A prompt less remains", () => pm.expect(quota.remaining).to.be.below(Number(pm.variables.get("remaining"))))
        pm.collectionVariables.set("remaining", quota.remaining)
        pm.collectionVariables.set("tries", goesOn ? tries : "")
        if (goesOn) pm.execution.setNextRequest(pm.info.requestName)
        else pm.test("Nothing is left", () => pm.expect(quota.remaining).to.equal(0))
      `
    }),
    call("sendMessage", {
      ...ask,
      name: "One prompt too many",
      about: "With the usual five a day this is the sixth. The answer says when the day begins anew, and where to subscribe.",
      expect: 429,
      code: "quota_exceeded",
      tests: script`
        const problem = pm.response.json()
        pm.test("It tells the limit, its reset and the way to more", () => {
          pm.expect(problem.limit).to.equal(Number(pm.variables.get("dailyLimit")))
          pm.expect(problem.resetsAt).to.match(/T00:00:00\.000Z$/)
          pm.expect(problem.upgradeUrl).to.include("/subscribe/pro")
        })
        pm.test("So do the headers", () => {
          pm.expect(pm.response.headers.get("RateLimit-Policy")).to.equal('"daily";q=' + problem.limit + ";w=86400")
          pm.expect(pm.response.headers.get("RateLimit")).to.match(/^"daily";r=0;t=\d+$/)
        })
      `
    }),
    call("getMe", {
      name: "The refused prompt was not counted",
      expect: 200,
      tests: script`
        const { quota } = pm.response.json()
        pm.test("Used is exactly the limit", () => {
          pm.expect(quota.used).to.equal(quota.limit)
          pm.expect(quota.remaining).to.equal(0)
        })
      `
    }),
    call("getUsage", {
      name: "Usage by day",
      expect: 200,
      tests: script`
        const [today] = pm.response.json().data
        pm.test("Today's prompts and tokens are counted", () => {
          pm.expect(today.prompts).to.be.at.least(Number(pm.variables.get("dailyLimit")))
          pm.expect(today.replyTokens).to.be.above(0)
        })
      `
    })
  ]
}
