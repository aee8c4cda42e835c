import { once } from "node:events"
import { ServerResponse } from "node:http"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { gunzipSync } from "node:zlib"
import { SignJWT } from "jose"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, personAt } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

/** The module of the code that wrote the head of each response of this process's backends, in order. */
const writers: Array<"immediate" | "pipeline"> = []
const writeHead = Reflect.get(ServerResponse.prototype, "writeHead")
vi.spyOn(ServerResponse.prototype, "writeHead").mockImplementation(function (this: ServerResponse, ...args) {
  writers.push(new Error("stack").stack?.includes("ImmediateResponder") === true ? "immediate" : "pipeline")
  return Reflect.apply(writeHead, this, args)
})

/** A request of these header lines takes the usual way, and its answer is the same. */
const usualWay = "content-length: 0"

const open = async (base: string): Promise<Socket> => {
  const socket = connect(Number(new URL(base).port), "127.0.0.1")
  socket.on("error", () => {})
  await once(socket, "connect")
  return socket
}

/** Reads one whole response, as it came. */
const readOne = (socket: Socket, method: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let received = ""
    const look = (chunk: Buffer) => {
      received += chunk.toString("latin1")
      const end = received.indexOf("\r\n\r\n")
      if (end === -1) return
      const head = received.slice(0, end)
      const hasBody = method !== "HEAD" && !head.startsWith("HTTP/1.1 304")
      const length = hasBody ? Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0) : 0
      if (received.length < end + 4 + length) return
      socket.off("data", look).off("close", fail)
      resolve(received)
    }
    const fail = () => reject(new Error(`closed after ${received}`))
    socket.on("data", look).once("close", fail)
  })

interface Asked {
  readonly method: string
  readonly path: string
  readonly lines: ReadonlyArray<string>
}
const textOf = ({ lines, method, path }: Asked, more: ReadonlyArray<string> = []) =>
  [`${method} ${path} HTTP/1.1`, ...lines, ...more, "", ""].join("\r\n")

/** What differs between two answers of the same state. */
const stable = (response: string, isOwnId: boolean) => {
  const dated = response.replace(/\r\nDate: [^\r]*/, "")
  return isOwnId ? dated : dated.replace(/\r\nx-request-id: [\da-f-]{36}\r\n/, "\r\nx-request-id: new\r\n")
}

/** Asks immediately and by the usual way on one connection; returns both answers and how they were made. */
const both = async (socket: Socket, asked: Asked) => {
  const isOwnId = asked.lines.some((line) => /^x-request-id: [\w-]{1,64}$/i.test(line))
  const ask = async (more: ReadonlyArray<string>) => {
    writers.length = 0
    socket.write(textOf(asked, more))
    const response = stable(await readOne(socket, asked.method), isOwnId)
    return { response, writers: [...writers] }
  }
  return { immediate: await ask([]), usual: await ask([usualWay]) }
}

const backends = [
  { what: "without CORS", settings: {} },
  { what: "with one allowed origin and a prefix", settings: { CORS_ORIGINS: "https://app.example", API_PREFIX: "/api" } },
  {
    what: "with two allowed origins and HTTPS",
    settings: { CORS_ORIGINS: "https://app.example,https://b.example", APP_URL: "https://chat.example" }
  },
  { what: "with every origin", settings: { CORS_ORIGINS: "*" } }
]

const cartesian = <A, B>(as: ReadonlyArray<A>, bs: ReadonlyArray<B>) => as.flatMap((a) => bs.map((b) => [a, b] as const))
const header = (name: string, values: ReadonlyArray<string | undefined>) =>
  values.map((value) => (value === undefined ? [] : [`${name}: ${value}`]))

describe.each(backends)("immediate answers $what", ({ settings }) => {
  let database: TestDatabase
  let backend: Awaited<ReturnType<typeof startBackend>>
  let ada: Person
  const prefixes = "API_PREFIX" in settings ? ["", settings.API_PREFIX] : [""]

  beforeAll(async () => {
    database = await createDatabase()
    backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", LOG_LEVEL: "none", ...settings })
    ada = await logIn(backend.url)
    for (const title of times(12, (n) => `Room ${n} ü`)) await ada.room({ title })
  })
  afterAll(async () => {
    await backend.stop()
    await database.drop()
  })

  /** Reads pages of these sizes until all are in memory. */
  const keep = (queries: ReadonlyArray<string>) =>
    until("all pages are in memory", async () => {
      const replies = await Promise.all(queries.map((query) => ada.call("GET", `/chatroom${query}`)))
      return replies.every(({ headers }) => headers.get("cache-status") === "chatrooms; hit")
    })
  const authorized = () => ["host: chat.example", `authorization: Bearer ${ada.token}`]

  it("are byte for byte those of the usual way", async () => {
    const queries = ["", "?limit=2", "?limit=12", "?limit=100"]
    await keep(queries)
    const tag = (await ada.call("GET", "/chatroom")).headers.get("etag") ?? ""
    const encodings = header("accept-encoding", [undefined, "gzip", "gzip, deflate, br", "gzip;q=0", "identity"])
    const tags = header("if-none-match", [undefined, tag, `W/"x", ${tag.replace(/"$/, '-gz"')}`, "*", '"other"'])
    const origins = header("origin", [undefined, "https://app.example", "https://evil.example"])
    const ids = header("x-request-id", [undefined, "mine-1", "not valid!"])
    const socket = await open(backend.url)
    let checked = 0
    for (const [[method, query], prefix] of cartesian(cartesian(["GET", "HEAD"], queries), prefixes)) {
      for (const [[[encoding, ifNoneMatch], origin], id] of cartesian(cartesian(cartesian(encodings, tags), origins), ids)) {
        // Each value of one header with all of another; not all of all.
        if (checked++ % 5 !== 0 && id.length > 0 && origin.length > 0) continue
        const lines = [...authorized(), ...encoding, ...ifNoneMatch, ...origin, ...id]
        const asked = { method, path: `${prefix}/chatroom${query}`, lines }
        const { immediate, usual } = await both(socket, asked)
        assert.strictEqual(immediate.response, usual.response, textOf(asked))
        assert.deepStrictEqual(immediate.writers, ["immediate"], textOf(asked))
        assert.deepStrictEqual(usual.writers, ["pipeline"], textOf(asked))
      }
    }
    socket.destroy()
  })

  it("are those of the usual way after a read, too", async () => {
    await keep([""])
    const socket = await open(backend.url)
    const paths = prefixes.map((prefix) => `${prefix}/user/me`)
    const headers = [[], ["accept-encoding: gzip"], ["origin: https://app.example", "x-request-id: mine-1"]]
    for (const [[method, path], own] of cartesian(cartesian(["GET", "HEAD"], paths), headers)) {
      const asked = { method, path, lines: [...authorized(), ...own] }
      const { immediate, usual } = await both(socket, asked)
      assert.strictEqual(immediate.response, usual.response, textOf(asked))
      assert.deepStrictEqual([immediate.writers, usual.writers], [["immediate"], ["pipeline"]])
    }
    // Pages of two sizes that are not in memory, and hold the same rooms.
    let limit = 20
    for (const own of [[], ["accept-encoding: gzip"], ["if-none-match: *"]]) {
      const [immediate, usual] = [++limit, ++limit].map((size) => ({
        method: "GET",
        path: `/chatroom?limit=${size}`,
        lines: [...authorized(), ...own, "x-request-id: mine-1"]
      }))
      assert.isDefined(immediate)
      assert.isDefined(usual)
      writers.length = 0
      socket.write(textOf(immediate))
      const answered = stable(await readOne(socket, "GET"), true)
      socket.write(textOf(usual, [usualWay]))
      assert.strictEqual(answered, stable(await readOne(socket, "GET"), true))
      assert.include(answered, "chatrooms; fwd=miss")
      assert.deepStrictEqual(writers, ["immediate", "pipeline"])
    }
    socket.destroy()
  })

  it("have a body that is what its headers say", async () => {
    await keep([""])
    const socket = await open(backend.url)
    const bodies = await Promise.all(
      ["identity", "gzip"].map(async (coding) => {
        const own = coding === "gzip" ? await open(backend.url) : socket
        own.write(textOf({ method: "GET", path: "/chatroom", lines: [...authorized(), `accept-encoding: ${coding}`] }))
        const response = await readOne(own, "GET")
        const bytes = Buffer.from(response.slice(response.indexOf("\r\n\r\n") + 4), "latin1")
        own.destroy()
        return coding === "gzip" ? gunzipSync(bytes) : bytes
      })
    )
    assert.strictEqual(String(bodies[0]), String(bodies[1]))
    assert.strictEqual(JSON.parse(String(bodies[0])).data.length, 12)
  })

  it("close the connection as the usual way does, when the client asks for it and while the process drains", async () => {
    await keep([""])
    const lines = [...authorized(), "x-request-id: mine-1"]
    const closing = async (more: ReadonlyArray<string>) => {
      const socket = await open(backend.url)
      socket.write(textOf({ method: "GET", path: "/chatroom", lines: [...lines, "connection: close"] }, more))
      return stable(await readOne(socket, "GET"), true)
    }
    assert.strictEqual(await closing([]), await closing([usualWay]))

    const leaving = await startBackend({ DATABASE_URL: database.url, ROLE: "api", LOG_LEVEL: "none", ...settings })
    const warm = () => fetch(`${leaving.url}/chatroom`, { headers: { authorization: `Bearer ${ada.token}` } })
    await until("the page is in memory", async () => (await warm()).headers.get("cache-status") === "chatrooms; hit")
    // A connection in the middle of a request's head outlives the beginning of the drain.
    const asked = { method: "GET", path: "/chatroom", lines }
    const [immediate, usual] = await Promise.all(
      [textOf(asked), textOf(asked, [usualWay])].map(async (text) => {
        const socket = await open(leaving.url)
        socket.write(text.slice(0, 30))
        return { socket, rest: text.slice(30) }
      })
    )
    assert.isDefined(immediate)
    assert.isDefined(usual)
    await sleep(100)
    const stopped = leaving.stop()
    await sleep(300)
    writers.length = 0
    const answers: Array<string> = []
    for (const { rest, socket } of [immediate, usual]) {
      socket.write(rest)
      answers.push(stable(await readOne(socket, "GET"), true))
    }
    assert.deepStrictEqual(writers, ["immediate", "pipeline"])
    assert.strictEqual(answers[0], answers[1])
    assert.match(answers[0] ?? "", /\r\nconnection: close\r\n/i)
    await stopped
  })
})

describe("immediate answers", () => {
  let database: TestDatabase
  let backend: Awaited<ReturnType<typeof startBackend>>
  let ada: Person
  let locker: pg.Client
  const operator = { authorization: "Bearer operator" }

  beforeAll(async () => {
    database = await createDatabase()
    backend = await startBackend({
      DATABASE_URL: database.url,
      ROLE: "api",
      LOG_LEVEL: "none",
      ADMIN_TOKEN: "operator",
      REQUEST_CONCURRENCY: "2"
    })
    ada = await logIn(backend.url)
    for (const title of times(3, (n) => `Room ${n}`)) await ada.room({ title })
    locker = new pg.Client({ connectionString: database.url })
    await locker.connect()
  })
  afterAll(async () => {
    await locker.end()
    await backend.stop()
    await database.drop()
  })

  const from = async (person: Person) => (await person.call("GET", "/chatroom")).headers.get("cache-status")
  const keep = (person: Person) => until("a cache hit", async () => (await from(person)) === "chatrooms; hit")
  const inProgress = async (activity: string) => {
    const { text } = await ada.call("GET", "/metrics", undefined, operator)
    const name = `chat_requests_in_progress{activity="${activity}"} `
    return Number(
      text
        .split("\n")
        .find((line) => line.startsWith(name))
        ?.slice(name.length)
    )
  }
  const writing = () => inProgress("writing")

  it.each([
    ["a body", { lines: ["content-length: 0"] }],
    ["a chunked body", { lines: ["transfer-encoding: chunked", "", "0"] }],
    ["an expectation", { lines: ["expect: 100-continue"] }],
    ["a second Host", { lines: ["host: other.example"] }],
    ["101 headers", { lines: times(101, (n) => `x-${n}: 1`) }],
    ["an unknown parameter", { path: "/chatroom?limit=20&x=1" }],
    ["a size in another spelling", { path: "/chatroom?limit=020" }],
    ["a search", { path: "/chatroom?q=Room" }],
    ["a later page", { path: "/chatroom?cursor=x" }],
    ["a parameter that the path has not", { path: "/user/me?x=1" }],
    ["a trailing slash", { path: "/chatroom/" }],
    ["an ambiguous path", { path: "//chatroom" }],
    ["an absolute target", { path: "http://chat.example/chatroom" }],
    ["another method", { method: "PATCH" }]
  ] as const)(
    "are not given to a request with %s",
    async (_, { lines = [], method = "GET", path = "/chatroom" }: Partial<Asked>) => {
      await keep(ada)
      const socket = await open(backend.url)
      writers.length = 0
      const own = ["host: chat.example", `authorization: Bearer ${ada.token}`, "connection: close"]
      socket.write(textOf({ method, path, lines: [...own, ...lines] }))
      await readOne(socket, method)
      assert.deepStrictEqual(writers, ["pipeline"])
    }
  )

  it.each([
    ["no token", undefined],
    ["another scheme", "Basic x"],
    ["a token that is not known", "Bearer x.y.z"]
  ])("are not given with %s", async (_, authorization) => {
    await keep(ada)
    writers.length = 0
    const headers = authorization === undefined ? {} : { authorization }
    assert.strictEqual((await fetch(`${backend.url}/chatroom`, { headers })).status, 401)
    assert.deepStrictEqual(writers, ["pipeline"])
  })

  it("end with the session and with a change of a room", async () => {
    const bob = await logIn(backend.url)
    await bob.room({ title: "One" })
    await keep(bob)
    await bob.room({ title: "Two" })
    const changed = await bob.call("GET", "/chatroom")
    assert.strictEqual(changed.body.data[0].title, "Two")
    await keep(bob)
    writers.length = 0
    assert.strictEqual((await bob.call("GET", "/chatroom")).status, 200)
    assert.deepStrictEqual(writers, ["immediate"])
    await bob.call("POST", "/auth/logout")
    const revoked = await bob.call("GET", "/chatroom")
    assert.deepStrictEqual([revoked.status, revoked.body.code], [401, "session_revoked"])
  })

  it("end when the listener of changes is lost", async () => {
    await keep(ada)
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'chat-backend notifications'"
    )
    await until("no cache hit", async () => (await from(ada)) !== "chatrooms; hit")
    await keep(ada)
  })

  it("end when the token expires", async () => {
    const { sid } = JSON.parse(Buffer.from(ada.token.split(".")[1] ?? "", "base64url").toString())
    const brief = await new SignJWT({ sid })
      .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: "test" })
      .setIssuer("chat-backend")
      .setAudience("chat-backend-api")
      .setSubject(ada.userId)
      .setJti("brief")
      .setIssuedAt()
      .setExpirationTime("2s")
      .sign(Buffer.from("0123456789abcdef0123456789ABCDEF"))
    const person = personAt(backend.url, { ...ada, token: brief })
    await keep(person)
    writers.length = 0
    await from(person)
    await sleep(2_000)
    await from(person)
    assert.deepStrictEqual(writers, ["immediate", "pipeline"])
  })

  it("are left to the usual way when their read takes long or fails", async () => {
    await keep(ada)
    await locker.query("begin")
    await locker.query("lock table usage_daily in access exclusive mode")
    writers.length = 0
    const began = performance.now()
    const slow = ada.call("GET", "/user/me")
    await sleep(1_500)
    await locker.query("rollback")
    assert.strictEqual((await slow).status, 200)
    assert.isAtLeast(performance.now() - began, 1_400)
    assert.deepStrictEqual(writers, ["pipeline"])

    await locker.query("begin")
    await locker.query("lock table usage_daily in access exclusive mode")
    writers.length = 0
    const failing = ada.call("GET", "/user/me")
    const cancelled = () =>
      database.query<{ done: boolean }>(
        "select pg_cancel_backend(pid) as done from pg_stat_activity where datname = current_database() and query like '%usage_daily%' and wait_event_type = 'Lock'"
      )
    await until("the read is cancelled", async () => (await cancelled()).length > 0)
    await locker.query("rollback")
    assert.strictEqual((await failing).status, 200)
    assert.deepStrictEqual(writers, ["pipeline"])
    assert.strictEqual(await inProgress("working"), 0)
  })

  it("wait like other requests while all slots are taken", async () => {
    await keep(ada)
    const bob = await logIn(backend.url)
    await locker.query("begin")
    await locker.query("lock table chatrooms in access exclusive mode")
    const stuck = times(2, () => bob.call("GET", "/chatroom?q=x"))
    await until("all slots are taken", async () => (await inProgress("working")) === 2)
    let isAnswered = false
    const waiting = ada.call("GET", "/chatroom").then((reply) => {
      isAnswered = true
      return reply
    })
    await sleep(500)
    assert.isFalse(isAnswered)
    await locker.query("rollback")
    assert.strictEqual((await waiting).headers.get("cache-status"), "chatrooms; hit")
    for (const reply of await Promise.all(stuck)) assert.strictEqual(reply.status, 200)
  })

  it("count against the budget of unread responses when the client does not read", async () => {
    const carol = await logIn(backend.url)
    for (const title of times(60, (n) => `${n} ${"long title ".repeat(10)}`)) await carol.room({ title })
    // The notifications of the changes drop the page once more.
    await sleep(500)
    const read = () => carol.call("GET", "/chatroom?limit=100")
    await until("a cache hit", async () => (await read()).headers.get("cache-status") === "chatrooms; hit")
    const socket = (await open(backend.url)).pause()
    const asked = { method: "GET", path: "/chatroom?limit=100", lines: ["host: x", `authorization: Bearer ${carol.token}`] }
    let last: string | undefined
    const fill = async () => {
      writers.length = 0
      socket.write(textOf(asked))
      last = await until("an answer", () => writers[0])
      // The kernel's buffers grow for a while.
      await sleep(20)
      return (await writing()) > 0
    }
    await until("a response waits for its client", fill, { seconds: 60 })
    // A request behind an answer that waits takes the usual way.
    assert.strictEqual(last, "immediate")
    socket.destroy()
    await until("nothing is being written", async () => (await writing()) === 0)
  })
})
