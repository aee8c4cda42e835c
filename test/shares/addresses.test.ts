import { randomBytes } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import { startBackend } from "../support/Backend.ts"
import type { Person } from "../support/Client.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { read, roomWith, share, tokenOf } from "./sharing.ts"

const settings = { BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none", TRUSTED_PROXIES: "127.0.0.1" }
let backends: TestBackends
let api: Awaited<ReturnType<typeof startBackend>>
let proxy: TcpProxy
let ada: Person
let token: string
/** Statements that read links. */
const statements: Array<string> = []

beforeAll(async () => {
  backends = await startBackends(settings)
  proxy = await TcpProxy.start(backends.database.url, (bytes) => {
    // Parse of the Postgres protocol: a length, the name of a prepared statement, the statement.
    for (const [, text = ""] of bytes.toString("latin1").matchAll(/P[^]{4}[^\0]*\0(\s*\w[^\0]+)\0/g)) statements.push(text)
  })
  api = await startBackend({
    ...settings,
    ROLE: "api",
    DATABASE_URL: proxy.through(backends.database.url),
    // With two URLs no statement is prepared by name, so that each is sent as text.
    DATABASE_DIRECT_URL: backends.database.url
  })
  ada = await newUser(backends.urls[0] ?? "", backends.database)
  token = tokenOf(await share(ada, await roomWith(ada, "[[say Here.]] ?")))
})
afterAll(async () => {
  await api.stop()
  await proxy.stop()
  await backends.stop()
})

const unknown = () => randomBytes(32).toString("base64url")
const readFrom = (address: string, wanted: string) => read(api.url, wanted, "", { "x-forwarded-for": address })

describe("unknown links from one address", () => {
  it("are 404 sixty times a minute and then 429, each with one statement at most", { timeout: 120_000 }, async () => {
    await readFrom("203.0.113.1", token)
    statements.length = 0
    const replies = []
    while (replies.length < 200) replies.push(...(await Promise.all(times(5, () => readFrom("203.0.113.7", unknown())))))
    const refused = replies.filter(({ status }) => status === 429)
    const missed = replies.filter(({ status }) => status === 404)
    assert.strictEqual(refused.length + missed.length, 200)
    assert.isAtLeast(missed.length, 60)
    assert.isAtLeast(refused.length, 20)
    for (const each of missed) assertProblem(each, 404, "share_not_found")
    for (const each of refused) assertProblem(each, 429, "too_many_attempts")
    assert.match(refused[0]?.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
    // What is not about links is the process's own work: heartbeats and the like.
    const ofLinks = statements.filter((text) => /token_hash|take_throttles/.test(text))
    assert.isAtLeast(ofLinks.length, missed.length)
    assert.isAtMost(ofLinks.length, 200)
    assert.isTrue(ofLinks.every((text) => /token_hash/.test(text) && /take_throttles/.test(text)))
    const others = new Set(statements.filter((text) => !ofLinks.includes(text)))
    for (const text of others) assert.isBelow(statements.filter((each) => each === text).length, missed.length, text)
  })

  it("do not count against another address, and known links do not count", { timeout: 60_000 }, async () => {
    const replies = []
    while (replies.length < 100) replies.push(...(await Promise.all(times(5, () => readFrom("198.51.100.9", token)))))
    assert.deepEqual(
      replies.filter(({ status }) => status !== 200).map(({ text }) => text),
      []
    )
  })

  it("count when they are copied, too", { timeout: 60_000 }, async () => {
    const copy = (index: number) => {
      const key = index % 2 === 0 ? {} : { "idempotency-key": unknown() }
      return ada.call("POST", `/share/${unknown()}/copy`, {}, { "x-forwarded-for": "192.0.2.44", ...key })
    }
    const replies = []
    while (replies.length < 120) replies.push(...(await Promise.all(times(5, copy))))
    const statuses = new Set(replies.map(({ status }) => status))
    assert.deepEqual([...statuses].sort(), [404, 429])
  })
})
