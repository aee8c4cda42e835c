import { assert, describe, it } from "vitest"
import { Problem, type StoredTokens, Unreachable } from "../../client/src/index.ts"
import { fakeServer, json, problem, type SentRequest } from "./FakeServer.ts"

const room = { id: "01a1fd71-dc20-7d14-9c25-6d4455667704" }

/** How a promise fails. */
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error
  )

const refusal = async (promise: Promise<unknown>): Promise<Problem> => {
  const error = await failure(promise)
  return error instanceof Problem ? error : assert.fail(String(error))
}

describe("a request", () => {
  it("fills in the path, the query and the body", async () => {
    const { client, requests } = fakeServer(() => json({ data: [] }))
    await client.call("GET /chatroom/:id/messages", { params: { id: "a/b" }, query: { limit: 5, cursor: undefined } })
    await client.call("PATCH /chatroom/:id", { params: room, body: { pinned: true } })
    const [list, change] = requests
    assert.strictEqual(list?.path, "/chatroom/a%2Fb/messages")
    assert.strictEqual(list?.headers.get("authorization"), "Bearer key")
    assert.deepStrictEqual([change?.method, change?.body], ["PATCH", '{"pinned":true}'])
  })

  it("fails with every member of a problem", async () => {
    const { client } = fakeServer(() =>
      problem(400, "validation_failed", { errors: [{ path: "/title", message: "too long" }], requestId: "r1", retryAfter: 3 })
    )
    const error = await refusal(client.call("POST /chatroom", { body: { title: "" } }))
    assert.deepInclude(error, { status: 400, code: "validation_failed", detail: "It is validation_failed" })
    assert.deepInclude(error, { requestId: "r1", retryAfter: 3, errors: [{ path: "/title", message: "too long" }] })
  })

  it("fails with the page of a proxy as an unknown problem", async () => {
    const page = () => new Response("<html>", { status: 502, headers: { "retry-after": "0", "x-request-id": "r2" } })
    const { client, requests } = fakeServer(page, { retries: { count: 1 } })
    const error = await refusal(client.call("GET /user/me"))
    assert.deepInclude(error, { status: 502, code: "unknown", retryAfter: 0, requestId: "r2" })
    assert.lengthOf(requests, 2)
  })

  it("reads the date of a proxy's Retry-After", async () => {
    const later = new Date(Date.now() + 600_000).toUTCString()
    const { client } = fakeServer(() => new Response("", { status: 503, headers: { "retry-after": later } }))
    const { retryAfter = 0 } = await refusal(client.call("GET /user/me"))
    assert.isAbove(retryAfter, 300)
    assert.isAtMost(retryAfter, 600)
  })
})

describe("a repetition", () => {
  const busy = () => problem(503, "overloaded", { retryAfter: 0 })

  it("follows a refusal and a lost connection of a GET, four times at most", async () => {
    const { client, requests } = fakeServer((_, number) => (number % 2 === 0 ? "reset" : busy()))
    assert.strictEqual((await refusal(client.call("GET /user/me"))).code, "overloaded")
    assert.lengthOf(requests, 5)
  })

  it("sends the same idempotency key and the same body, and returns the answer", async () => {
    const { client, requests } = fakeServer((_, number) => (number < 3 ? "reset" : json({ reply: room })))
    assert.strictEqual((await client.ask(room.id, "Why?")).reply.id, room.id)
    const keys = requests.map(({ headers }) => headers.get("idempotency-key"))
    assert.match(keys[0] ?? "", /^[\da-f]{24}$/)
    assert.deepStrictEqual(keys, [keys[0], keys[0], keys[0]])
    assert.deepStrictEqual(new Set(requests.map(({ body }) => body)), new Set(['{"content":"Why?"}']))
  })

  it("uses a key for one question only, and the caller's if there is one", async () => {
    const { client, requests } = fakeServer(() => json({ reply: room }))
    await client.ask(room.id, "Why?")
    await client.ask(room.id, "Why?")
    await client.ask(room.id, "Why?", { idempotencyKey: "mine" })
    const keys = requests.map(({ headers }) => headers.get("idempotency-key"))
    assert.strictEqual(new Set(keys).size, 3)
    assert.strictEqual(keys[2], "mine")
  })

  it.each([["POST /user/me/export-ticket"], ["POST /subscription/cancel"], ["POST /auth/send-otp"]] as const)(
    "never follows a POST without a key: %s",
    async (operation) => {
      for (const answer of ["reset", busy()] as const) {
        const { client, requests } = fakeServer(() => answer)
        const error = await failure(
          operation === "POST /auth/send-otp" ? client.sendCode("+919876543210") : client.call(operation)
        )
        assert.isTrue(answer === "reset" ? error instanceof Unreachable : error instanceof Problem)
        assert.lengthOf(requests, 1)
      }
    }
  )

  it("never follows a PATCH", async () => {
    const { client, requests } = fakeServer(busy)
    await refusal(client.call("PATCH /user/me", { body: { name: "Ada" } }))
    assert.lengthOf(requests, 1)
  })

  it.each([400, 401, 403, 404, 409, 422, 500])("never follows status %i", async (status) => {
    const { client, requests } = fakeServer(() => problem(status, "some_code"))
    await refusal(client.call("GET /user/me"))
    assert.lengthOf(requests, 1)
  })

  it("never waits for a long Retry-After", async () => {
    const { client, requests } = fakeServer(() => problem(429, "quota_exceeded", { retryAfter: 61 }))
    assert.strictEqual((await refusal(client.ask(room.id, "Why?"))).retryAfter, 61)
    assert.lengthOf(requests, 1)
  })

  it("waits for Retry-After, until the caller gives up", async () => {
    const { client, requests } = fakeServer(() => problem(429, "quota_exceeded", { retryAfter: 59 }))
    const reason = new Error("the user left")
    const controller = new AbortController()
    const asked = failure(client.ask(room.id, "Why?", { signal: controller.signal }))
    await new Promise((resolve) => setTimeout(resolve, 50))
    controller.abort(reason)
    assert.strictEqual(await asked, reason)
    assert.lengthOf(requests, 1)
  })

  it("follows an attempt that takes too long", async () => {
    const { client, requests } = fakeServer((_, number) => (number === 1 ? 60_000 : json({ id: "me" })), { timeout: 500 })
    assert.deepInclude(await client.call("GET /user/me"), { id: "me" })
    assert.isAtLeast(requests.length, 2)
  })
})

describe("a session", () => {
  const isRefresh = ({ path }: SentRequest) => path === "/auth/refresh"
  const fresh = { token: "fresh", expiresIn: 3_600, refreshToken: "second" }

  const withTokens = (renewAt: number, answer: Parameters<typeof fakeServer>[0], onSessionEnd?: (problem: Problem) => void) => {
    let kept: StoredTokens | undefined = { accessToken: "stale", refreshToken: "first", renewAt }
    const tokens = { load: () => kept, save: (next: StoredTokens | undefined) => void (kept = next) }
    return { ...fakeServer(answer, { apiKey: undefined, tokens, onSessionEnd }), kept: () => kept }
  }

  const guarded = (request: SentRequest) =>
    request.headers.get("authorization") === "Bearer fresh" ? json({ id: "me" }) : problem(401, "token_expired")

  it.each([
    ["before the calls, when its time is over", 0],
    ["after the server refused it", Infinity]
  ])("exchanges an expired token once for many calls, %s", async (_, renewAt) => {
    const { client, kept, requests } = withTokens(renewAt, (request) => (isRefresh(request) ? json(fresh) : guarded(request)))
    await Promise.all(Array.from({ length: 20 }, () => client.call("GET /user/me")))
    await client.call("GET /user/me")
    assert.deepStrictEqual(
      requests.filter(isRefresh).map(({ body }) => body),
      ['{"refreshToken":"first"}']
    )
    assert.deepInclude(kept(), { accessToken: "fresh", refreshToken: "second" })
  })

  it("sends the refused request again, also one that is never repeated otherwise", async () => {
    const { client, requests } = withTokens(Infinity, (request) => (isRefresh(request) ? json(fresh) : guarded(request)))
    await client.call("PATCH /user/me", { body: { name: "Ada" } })
    assert.deepStrictEqual(
      requests.map(({ method, path }) => `${method} ${path}`),
      ["PATCH /user/me", "POST /auth/refresh", "PATCH /user/me"]
    )
  })

  it("asks again with the same token when the response of the exchange is lost", async () => {
    let lost = 0
    const { client, requests } = withTokens(0, (request) =>
      isRefresh(request) ? (lost++ < 2 ? "reset" : json(fresh)) : guarded(request)
    )
    // A request that is never repeated itself.
    await client.call("PATCH /user/me", { body: { name: "Ada" } })
    const bodies = requests.filter(isRefresh).map(({ body }) => body)
    assert.deepStrictEqual(bodies, Array(3).fill('{"refreshToken":"first"}'))
  })

  it("keeps the tokens while the server is away", async () => {
    const { client, kept } = withTokens(0, () => problem(503, "unavailable", { retryAfter: 61 }))
    assert.strictEqual((await refusal(client.call("GET /user/me"))).code, "unavailable")
    assert.deepInclude(kept(), { refreshToken: "first" })
  })

  it("ends once when the refresh token is refused, for all calls", async () => {
    const ends: Array<string> = []
    const { client, kept, requests } = withTokens(
      0,
      (request) => (isRefresh(request) ? problem(401, "refresh_invalid") : guarded(request)),
      ({ code }) => void ends.push(code)
    )
    const errors = await Promise.all(Array.from({ length: 5 }, () => refusal(client.call("GET /user/me"))))
    assert.deepStrictEqual(new Set(errors.map(({ code }) => code)), new Set(["refresh_invalid"]))
    assert.deepStrictEqual(ends, ["refresh_invalid"])
    assert.isUndefined(kept())
    assert.lengthOf(requests, 1)
    assert.isFalse(await client.restore())
  })

  it("goes on for the others when one caller gives up during the exchange", async () => {
    const { client, requests } = withTokens(0, (request) => (isRefresh(request) ? json(fresh) : guarded(request)))
    const controller = new AbortController()
    const one = failure(client.call("GET /user/me", { signal: controller.signal }))
    const other = client.call("GET /user/me")
    controller.abort(new Error("left"))
    assert.strictEqual(String(await one), "Error: left")
    assert.deepInclude(await other, { id: "me" })
    assert.lengthOf(requests.filter(isRefresh), 1)
  })

  it("uses a token that another tab has stored meanwhile", async () => {
    let loads = 0
    const other: StoredTokens = { accessToken: "fresh", refreshToken: "second", renewAt: Infinity }
    const tokens = {
      load: () => (loads++ === 0 ? { accessToken: "stale", refreshToken: "first", renewAt: 0 } : other),
      save: () => assert.fail("nothing is to be stored")
    }
    const { client, requests } = fakeServer(guarded, { apiKey: undefined, tokens })
    await client.call("GET /user/me")
    assert.lengthOf(requests, 1)
  })

  it("is exchanged once by two tabs, when one sees the other's write with a delay", async () => {
    const first: StoredTokens = { accessToken: "stale", refreshToken: "first", renewAt: 0 }
    const seen: [StoredTokens | undefined, StoredTokens | undefined] = [first, first]
    /** A tab sees its own writes at once, and those of the other tab later. */
    const storeOf = (tab: 0 | 1) => ({
      load: () => seen[tab],
      save: (tokens: StoredTokens | undefined) => {
        seen[tab] = tokens
        setTimeout(() => void (seen[1 - tab] = tokens), 200)
      }
    })
    const answer = (request: SentRequest) => (isRefresh(request) ? json(fresh) : guarded(request))
    const tabs = [0, 1] as const
    const servers = tabs.map((tab) => fakeServer(answer, { apiKey: undefined, tokens: storeOf(tab) }))
    await Promise.all(servers.map(({ client }) => client.call("GET /user/me")))
    assert.lengthOf(
      servers.flatMap(({ requests }) => requests.filter(isRefresh)),
      1
    )
  })

  it("lets a cookie hold the refresh token", async () => {
    const answer = (request: SentRequest) => (isRefresh(request) ? json({ token: "fresh", expiresIn: 60 }) : guarded(request))
    const { client, requests } = fakeServer(answer, { apiKey: undefined, cookie: true })
    assert.isTrue(await client.restore())
    await client.call("GET /user/me")
    const [refresh] = requests
    assert.deepStrictEqual([refresh?.body, refresh?.headers.get("x-refresh-token")], ["{}", "cookie"])
    assert.lengthOf(requests, 2)
  })
})

describe("a list", () => {
  it("is read page by page, with the cursor of the one before", async () => {
    const cursors = ["a", "b", null]
    const { client, requests } = fakeServer((_, number) =>
      json({ data: [`${number}1`, `${number}2`], hasMore: number < 3, nextCursor: cursors[number - 1] })
    )
    const items: Array<unknown> = []
    for await (const item of client.items("GET /chatroom", { query: { limit: 2 } })) items.push(item)
    assert.deepStrictEqual(items, ["11", "12", "21", "22", "31", "32"])
    assert.deepStrictEqual(
      requests.map(({ query }) => query),
      ["limit=2", "limit=2&cursor=a", "limit=2&cursor=b"]
    )
  })
})
