import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import type { Person } from "../support/Client.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

/** Large requests of one address that wait for their replies at once, and those that wait for a place. */
const places = 16
const waiting = 10

let backends: TestBackends
let ada: Person
let bob: Person

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
  ada = await backends.newUser()
  bob = await backends.newUser()
})
afterAll(() => backends.stop())

const completion = (content: string, more: object = {}) => ({
  model: "gemini-3.8-flash",
  messages: [{ role: "user", content }],
  ...more
})
/** Above the usual limit of bodies. */
const large = (content: string) => completion(content, { metadata: { padding: "x".repeat(300_000) } })

describe("a body of many values", () => {
  const id = crypto.randomUUID()
  const bodies: ReadonlyArray<readonly [path: string, maximum: number, body: (list: ReadonlyArray<number>) => object]> = [
    ["/chatroom", 10_000, (tools) => ({ tools })],
    ["/v1/chat/completions", 30_000, (messages) => ({ model: "gemini-3.8-flash", messages })],
    ["/ai/chat", 200_000, (messages) => ({ id, messages })],
    ["/chatroom/import", 400_000, (messages) => ({ title: "Looms", messages })]
  ]

  it.each(bodies)("is refused before it is decoded, above the limit of its route: %s", async (path, maximum, body) => {
    const reply = await ada.call("POST", path, body(times(maximum, () => 0)))
    assert.strictEqual(reply.status, 400)
    assert.include(reply.text, `The body has more than ${maximum} values`)
    // The body, its other members, and the list are values, too.
    const allowed = await ada.call("POST", path, body(times(maximum - 5, () => 0)))
    assert.strictEqual(allowed.status, 400)
    assert.notInclude(allowed.text, "more than")
  })

  it("is no body with commas and brackets in its texts", async () => {
    const prompt = "[{,".repeat(7_000)
    assert.strictEqual((await ada.call("POST", "/chatroom", { systemPrompt: prompt.slice(0, 8_000) })).status, 201)
    assert.strictEqual((await ada.ask(await ada.room(), prompt)).status, 202)
  })

  it.each(bodies.slice(1))("names its first fault alone where large bodies are taken: %s", async (path, _, body) => {
    const reply = await ada.call("POST", path, body([0, 0]))
    if (path.startsWith("/v1")) assert.strictEqual(reply.body.error.param, "messages[0]")
    else
      assert.deepStrictEqual(
        reply.body.errors.map((fault: { path: string }) => fault.path),
        ["/messages/0"]
      )
  })
})

describe("large requests that wait for their replies", () => {
  it("are bounded for an address, and leave small ones their places", async () => {
    const post = (person: Person, body: object, signal?: AbortSignal) =>
      fetch(`${backends.urls[0]}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${person.token}`, "content-type": "application/json" },
        body: JSON.stringify(body),
        ...(signal === undefined ? {} : { signal })
      })
    const leaves = new AbortController()
    const held = times(places, () => post(ada, large("[[latency 60000]]"), leaves.signal).catch(() => undefined))
    const unfinished = async () => {
      const [row] = await backends.database.query<{ count: number }>(
        "select count(*)::int as count from messages where user_id = $1 and completed_at is null",
        [ada.userId]
      )
      return row?.count
    }
    await until("each has been accepted", async () => (await unfinished()) === places, { seconds: 50 })
    const next = times(waiting + 1, () => post(bob, large("[[say here]]"), leaves.signal))
    const first = await Promise.race(next)
    assert.strictEqual(first.status, 503)
    assert.strictEqual(first.headers.get("retry-after"), "1")
    assert.strictEqual((await post(bob, completion("[[say here]]"))).status, 200)
    leaves.abort()
    await Promise.all([...held, ...next.map((request) => request.catch(() => undefined))])
    await until("a large one is answered", async () => (await post(bob, large("[[say here]]"))).status === 200, { seconds: 50 })
  })
})

describe("a large request of the AI SDK", () => {
  it("gives its place back when it is refused", async () => {
    for (const _ of times(3, () => 0)) {
      const padded = { id: crypto.randomUUID(), messages: [], padding: "x".repeat(300_000) }
      assertProblem(await ada.call("POST", "/ai/chat", padded), 400, "validation_failed")
    }
  })
})
