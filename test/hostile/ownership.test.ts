import { createHmac } from "node:crypto"
import { Context } from "effect"
import { HttpApi } from "effect/http-api"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { MaximumBody } from "../../src/api/Annotations.ts"
import { Api } from "../../src/api/Api.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { upload } from "../support/files.ts"
import { rawRequest } from "../support/rawHttp.ts"
import { type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, type LoggedIn, peopleAt, sidOf } from "../auth/People.ts"
import { until } from "../support/wait.ts"

/** Every endpoint of the API's definition: a new one is tested here without being named. */
const endpoints: Array<{
  readonly name: string
  readonly method: string
  readonly path: string
  readonly isProtected: boolean
  /** Bytes that a body may have. */
  readonly maximumBody: number
}> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint, mergedAnnotations, middleware }) => {
    endpoints.push({
      name: endpoint.identifier,
      method: endpoint.method,
      path: endpoint.path,
      isProtected: [...middleware].some((each) => each.key === "chat-backend/auth/Authorization"),
      maximumBody: Number(Context.get(mergedAnnotations, MaximumBody))
    })
  }
})
const named = (names: ReadonlySet<string>) => endpoints.filter(({ name }) => names.has(name))

/** Valid bodies, so that the response depends on the path alone. */
const bodies: Readonly<Record<string, unknown>> = {
  sendMessage: { content: "mine?" },
  editMessage: { content: "mine?" },
  updateChatroom: { title: "mine" },
  rateMessage: { rating: "up" },
  createApiKey: { name: "mine" }
}
/** Routes that need no token; every other one must be protected. */
const open = new Set([
  "signUp",
  "sendOtp",
  "verifyOtp",
  "forgotPassword",
  "resetPassword",
  "passwordLogin",
  "refresh",
  "stripeWebhook",
  "getShared",
  "getSharedFile",
  "listPlans",
  "healthz",
  "readyz"
])
/** Routes that need `ADMIN_TOKEN`; 404 when it is unset. */
const forOperators = new Set(["queue", "usageReport", "feedback", "metrics"])

const key = Buffer.from("5f4e3d2c1b0a99887766554433221100").toString("base64")
let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: LoggedIn
let mallory: LoggedIn
const owned = { room: "", question: "", reply: "", running: "", share: "", apiKey: "", file: "" }

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, JWT_KEYS: `test:${key}` })
  const people = peopleAt(backend.url, database)
  ada = await people.enter()
  mallory = await people.enter()
  owned.room = await ada.room({ title: "Ada's" })
  const { body } = await ada.ask(owned.room, "[[say Ada's answer]] Ada's question", { wait: 10 })
  Object.assign(owned, { question: body.message.id, reply: body.reply.id })
  await database.query(
    `insert into room_summaries (user_id, chatroom_id, upto_id, first_id, body, tokens, model, created_at)
      values ($1, $2, $3, $4, 'Ada asked', 3, 'gemini', now())`,
    [ada.userId, owned.room, owned.reply, owned.question]
  )
  owned.share = (await ada.call("POST", `/chatroom/${owned.room}/share`, {})).body.id
  owned.apiKey = (await ada.call("POST", "/user/keys", { name: "Ada's" })).body.id
  owned.file = (await upload(backend.url, ada, "text/plain", Buffer.from("Ada's file"), { name: "Ada.txt" })).body.id
  owned.running = (await ada.ask(owned.room, "[[latency 60000]] Ada waits")).body.reply.id
  await until(
    "the reply is being made",
    async () => (await ada.call("GET", `/chatroom/${owned.room}/message/${owned.running}`)).body.status === "processing"
  )
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})

const unknownId = "01980000-0000-7000-8000-000000000000"
const call = (method: string, path: string, name: string, headers: Record<string, string>) =>
  request(backend.url, method, path, {
    headers,
    ...(method === "GET" || method === "DELETE" ? {} : { body: bodies[name] ?? {} })
  })
const asMallory = (method: string, path: string, name: string) =>
  call(method, path, name, { authorization: `Bearer ${mallory.token}` })

/** Fills in a path's parameters; a parameter that is unknown here fails the test. */
const pathsFor = (
  path: string,
  {
    room,
    session,
    share,
    apiKey,
    file
  }: { readonly room: string; readonly session: string; readonly share: string; readonly apiKey: string; readonly file: string },
  message: string
): string => {
  if (path.startsWith("/ai/chat/:id")) return path.replace(":id", room)
  if (path.startsWith("/chatroom/:id")) return path.replace(":id", room).replace(":mid", message)
  if (path.startsWith("/files/:id")) return path.replace(":id", file)
  if (path.startsWith("/v1/models/:id")) return path.replace(":id", room)
  if (path.startsWith("/auth/sessions/:id")) return path.replace(":id", session)
  if (path === "/subscribe/:plan") return path.replace(":plan", "pro")
  if (path.startsWith("/user/keys/:id")) return path.replace(":id", apiKey)
  // A link's id is not its token.
  if (path.startsWith("/share"))
    return path
      .replace(/:(id|token)/, share)
      .replace(":message", "0")
      .replace(":index", "0")
  return path
}

/** All rows of Ada's as text, to compare before and after. */
const everythingOfAda = () =>
  database.query(
    `select (select json_agg(c order by id) from chatrooms c where user_id = $1)::text as rooms,
      (select json_agg(json_build_array(id, chatroom_id, content, status, attempt, superseded_by) order by id) from messages where user_id = $1)::text as messages,
      (select json_agg(s order by id) from shares s where user_id = $1)::text as shares,
      (select json_agg(k order by id) from api_keys k where user_id = $1)::text as keys,
      (select json_agg(json_build_array(id, counter, revoked_at) order by id) from sessions where user_id = $1)::text as sessions,
      (select u from users u where id = $1)::text as user,
      (select json_agg(s) from room_summaries s where user_id = $1)::text as summaries,
      (select json_agg(f order by id) from files f where user_id = $1)::text as files, (select count(*)::int from auth_events where user_id = $1) as events`,
    [ada.userId]
  )

describe("routes", () => {
  it("are protected, except those listed as public", () => {
    const unprotected = endpoints.filter(({ isProtected }) => !isProtected).map(({ name }) => name)
    assert.deepStrictEqual(
      unprotected.filter((name) => !open.has(name) && !forOperators.has(name)),
      []
    )
    assert.deepStrictEqual(
      named(open).filter(({ isProtected }) => isProtected),
      []
    )
    assert.lengthOf(named(open), open.size)
    assert.isAbove(endpoints.length, 25)
  })

  it("have no path parameter that this test cannot fill in", () => {
    for (const { path } of endpoints) {
      assert.notInclude(
        pathsFor(
          path,
          { room: owned.room, session: ada.sid, share: owned.share, apiKey: owned.apiKey, file: owned.file },
          owned.reply
        ),
        ":",
        `add the parameters of ${path} to pathsFor`
      )
    }
  })
})

describe("another user's resource", () => {
  // Models and plans belong to no user.
  const common = ["/v1/models/:id", "/subscribe/:plan"]
  const withParams = endpoints.filter(({ path }) => path.includes(":") && !common.includes(path))

  it.each(withParams)(
    "is 404 and unchanged for $method $path, exactly as one that does not exist",
    async ({ method, name, path }) => {
      const before = await everythingOfAda()
      const theirs = { room: owned.room, session: ada.sid, share: owned.share, apiKey: owned.apiKey, file: owned.file }
      const nothing = { room: unknownId, session: unknownId, share: unknownId, apiKey: unknownId, file: unknownId }
      const said = ({ body, status }: Reply) => `${status} ${JSON.stringify({ ...body, requestId: "" })}`
      for (const message of [owned.reply, owned.question, owned.running]) {
        const reply = await asMallory(method, pathsFor(path, theirs, message), name)
        assert.strictEqual(reply.status, 404, reply.text)
        assert.strictEqual(reply.body.status, 404)
        // It cannot be distinguished from one that does not exist.
        assert.strictEqual(said(reply), said(await asMallory(method, pathsFor(path, nothing, unknownId), name)))
        for (const word of ["Ada", ada.userId, ada.mobile]) assert.notInclude(reply.text, word)
      }
      const after = await everythingOfAda()
      assert.deepStrictEqual(after, before)
    }
  )

  it.each(withParams.filter(({ path }) => path.includes(":mid")))(
    "is 404 for $method $path in a room of the caller's own",
    async ({ method, name, path }) => {
      const room = await mallory.room()
      const before = await everythingOfAda()
      for (const message of [owned.reply, owned.question, owned.running]) {
        const reply = await asMallory(method, path.replace(":id", room).replace(":mid", message), name)
        assertProblem(reply, 404, "message_not_found")
      }
      assert.deepStrictEqual(await everythingOfAda(), before)
    }
  )

  it.each(withParams.filter(({ method, path }) => method === "GET" && path.startsWith("/chatroom")))(
    "is readable by its owner: $method $path",
    async ({ method, path }) => {
      const reply = await ada.call(
        method,
        pathsFor(
          path,
          { room: owned.room, session: ada.sid, share: owned.share, apiKey: owned.apiKey, file: owned.file },
          owned.reply
        )
      )
      assert.strictEqual(reply.status, 200, reply.text)
    }
  )

  it("is not in other users' lists, searches and exports", async () => {
    const others = await mallory.room()
    for (const path of [
      "/chatroom",
      "/chatroom?archived=true",
      "/chatroom?q=Ada",
      "/search?q=Ada",
      "/search?q=answer",
      "/user/me/export",
      "/user/usage",
      "/files",
      "/auth/sessions",
      `/chatroom/${others}/messages?after=${owned.question}`,
      `/chatroom/${others}/messages?before=${owned.running}`
    ]) {
      const reply = await mallory.call("GET", path)
      assert.strictEqual(reply.status, 200, `${path} ${reply.text}`)
      for (const word of ["Ada", ada.userId, owned.room, owned.reply, owned.question, ada.sid])
        assert.notInclude(reply.text, word, path)
    }
  })
})

describe("an unreadable body", () => {
  // A file is not JSON: what is refused of one is tested in test/files.
  const withBody = endpoints.filter(({ isProtected, method, name }) => isProtected && method !== "GET" && name !== "uploadFile")
  const json = { "content-type": "application/json" }

  it.each(withBody)("is refused by $method $path, with or without a payload schema", async ({ maximumBody, method, path }) => {
    const before = await everythingOfAda()
    const target = pathsFor(
      path,
      { room: owned.room, session: ada.sid, share: owned.share, apiKey: owned.apiKey, file: owned.file },
      owned.reply
    )
    const sending = (headers: Record<string, string>, body: string | Uint8Array) =>
      rawRequest(backend.url, method, target, { headers: { authorization: `Bearer ${ada.token}`, ...headers }, body })
    const isOpenAi = path.startsWith("/v1/")
    const code = ({ body, status }: Awaited<ReturnType<typeof sending>>) =>
      `${status} ${isOpenAi ? body?.error?.code : body?.code}`
    assert.strictEqual(code(await sending(json, `{"a":`)), "400 bad_json")
    assert.strictEqual(code(await sending(json, Buffer.from([0x22, 0xff, 0x22]))), "400 bad_json")
    assert.strictEqual(code(await sending(json, `"${"x".repeat(maximumBody)}"`)), "413 payload_too_large")
    assert.strictEqual(code(await sending({ "content-type": "text/plain" }, "hello")), "415 unsupported_media_type")
    assert.deepStrictEqual(await everythingOfAda(), before)
  })
})

describe("a request without a valid token", () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const expired = () => {
    const now = Math.floor(Date.now() / 1000)
    const head = encode({ alg: "HS256", typ: "at+jwt", kid: "test" })
    const claims = encode({
      sid: sidOf(ada.token),
      iss: "chat-backend",
      aud: "chat-backend-api",
      sub: ada.userId,
      jti: crypto.randomUUID(),
      iat: now - 3_500,
      exp: now - 100
    })
    return `${head}.${claims}.${createHmac("sha256", Buffer.from(key, "base64")).update(`${head}.${claims}`).digest("base64url")}`
  }

  it.each(endpoints.filter(({ isProtected }) => isProtected))("gets 401 from $method $path", async ({ method, name, path }) => {
    const before = await everythingOfAda()
    const target = pathsFor(
      path,
      { room: owned.room, session: ada.sid, share: owned.share, apiKey: owned.apiKey, file: owned.file },
      owned.reply
    )
    const cases: ReadonlyArray<readonly [Record<string, string>, string]> = [
      [{}, "unauthenticated"],
      [{ authorization: "Bearer garbage" }, "token_invalid"],
      [{ authorization: `Bearer ${ada.token.slice(0, -2)}` }, "token_invalid"],
      [{ authorization: `Bearer ${expired()}` }, "token_expired"],
      [{ cookie: `token=${ada.token}`, "x-access-token": ada.token }, "unauthenticated"]
    ]
    for (const [headers, code] of cases) {
      const refused = await call(method, target, name, headers)
      if (path.startsWith("/v1/")) assert.strictEqual(`${refused.status} ${refused.body.error.code}`, "401 invalid_api_key")
      else assertProblem(refused, 401, code)
    }
    assert.deepStrictEqual(await everythingOfAda(), before)
  })

  it.each(endpoints.filter(({ name }) => forOperators.has(name)))(
    "gets 404 from $method $path when ADMIN_TOKEN is unset, with a user's token too",
    async ({ method, path, name }) => {
      for (const headers of [
        {},
        { authorization: `Bearer ${ada.token}` },
        { authorization: "Bearer undefined" },
        { authorization: "Bearer " }
      ]) {
        assert.strictEqual((await call(method, path, name, headers as Record<string, string>)).status, 404)
      }
    }
  )
})
