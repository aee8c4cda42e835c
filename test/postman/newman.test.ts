import { once } from "node:events"
import { createServer } from "node:http"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { type Report, runCollection } from "../../scripts/postman/Newman.ts"
import { requestsOf } from "../../scripts/postman/Entries.ts"
import { folders } from "../../scripts/postman/requests.ts"
import { type DevServer, startDevServer } from "../../scripts/postman/Server.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

const assertGreen = (report: Report) => {
  assert.deepStrictEqual(report.failures, [], report.output)
  assert.isAbove(report.assertions, 400)
  for (const { name, status, tests } of report.executions) {
    assert.include(tests.join("\n"), "Status is ", name)
    // The checkout page is not part of the API.
    if (name !== "Pay at the checkout") assert.include(tests, "Body is as documented", `${name}: ${status}`)
  }
}

/** The requests that were answered. */
const answered = (report: Report) => new Set(report.executions.map(({ name }) => name))
const all = requestsOf(folders).map(({ name }) => name)
const statusOf = (report: Report, name: string) => report.executions.findLast((each) => each.name === name)?.status

describe("newman and the collection against npm run dev", { timeout: 600_000 }, () => {
  let database: TestDatabase
  let server: DevServer
  const start = async (settings: Readonly<Record<string, string>> = {}) => {
    server = await startDevServer({ DATABASE_URL: database.url, ...settings })
  }

  beforeEach(async () => {
    database = await createDatabase()
  })
  afterEach(async () => {
    await server?.stop()
    await database.drop()
  }, 120_000)

  it("is green, and so again at once on the same server", async () => {
    await start()
    for (const turn of [1, 2]) {
      const report = await runCollection({ baseUrl: server.url })
      assertGreen(report)
      assert.sameMembers([...answered(report)], all, `run ${turn}`)
      assert.strictEqual(statusOf(report, "Metrics"), 404)
    }
    const people = await database.query<{ count: number }>("select count(*)::int as count from users")
    assert.deepStrictEqual(people, [{ count: 2 }], "of each run one of three people stays")
  })

  it("is green where other things are switched on and billing is off", async () => {
    await start({ ADMIN_TOKEN: "operator", API_PREFIX: "/api", BILLING: "off", PASSWORD_LOGIN: "true" })
    const report = await runCollection({ baseUrl: `${server.url}/api`, adminToken: "operator" })
    assertGreen(report)
    assert.strictEqual(statusOf(report, "Metrics"), 200)
    assert.strictEqual(statusOf(report, "Log in with password"), 200)
    assert.strictEqual(statusOf(report, "Subscribe to Pro"), 503)
    for (const name of ["Pay at the checkout", "Get subscription: poll until Pro", "Stripe event: signed"])
      assert.notInclude([...answered(report)], name)
  })

  it("is red where the server does not do what is expected", async () => {
    await start({ PRO_DAILY_PROMPTS: "3" })
    const { failures } = await runCollection({ baseUrl: server.url, webhookSecret: "whsec_another" })
    for (const name of ["Get subscription: poll until Pro", "Send message: quota of Pro", "Stripe event: signed"]) {
      assert.isTrue(
        failures.some((failure) => failure.startsWith(`${name}:`)),
        `${name}: ${failures.join("\n")}`
      )
    }
  })
})

describe("newman and the collection against a server that answers differently", { timeout: 300_000 }, () => {
  it("is red for a status, a header and a body that openapi.json does not have", async () => {
    const server = createServer((request, response) => {
      response.writeHead(request.url === "/healthz" ? 200 : 410, { "Content-Type": "application/json" })
      response.end(JSON.stringify({ status: 1 }))
    })
    const port = await freePort()
    await once(server.listen(port, "127.0.0.1"), "listening")
    try {
      const { executions, failures } = await runCollection({ baseUrl: `http://127.0.0.1:${port}` })
      const failed = (start: string) => failures.some((failure) => failure.startsWith(start))
      for (const { name } of executions) assert.strictEqual(failed(`${name}: Status is `), name !== "Health", name)
      assert.isTrue(failed("Health: Headers are as documented"), failures.join("\n"))
      assert.isTrue(failed("Health: Body is as documented"), failures.join("\n"))
    } finally {
      server.close()
    }
  })
})
