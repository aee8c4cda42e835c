import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, type Reply } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem } from "../auth/People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { quickest } from "../support/measure.ts"

/** Few enough that a test can fill them. */
const slots = 3
const origin = "https://app.example"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let bob: Person
let room: string
let locker: pg.Client

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    REQUEST_CONCURRENCY: String(slots),
    CORS_ORIGINS: origin,
    ADMIN_TOKEN: "operator",
    BASIC_DAILY_PROMPTS: "1000",
    LOG_LEVEL: "none"
  })
  ada = await logIn(backend.url)
  bob = await logIn(backend.url)
  room = await ada.room()
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})
beforeEach(async () => {
  locker = new pg.Client({ connectionString: database.url })
  await locker.connect()
})
afterEach(() => locker.end())

/** Blocks every statement that reads or writes messages until the returned function is called. */
const lockMessages = async () => {
  await locker.query("begin")
  await locker.query("lock table messages in access exclusive mode")
  return () => locker.query("rollback")
}

const metric = async (name: string) => {
  const { text } = await ada.call("GET", "/metrics", undefined, { authorization: "Bearer operator" })
  const line = text.split("\n").find((each) => each.startsWith(name))
  assert.isDefined(line, `${name} in ${text}`)
  return Number(line?.split(" ").at(-1))
}
const inProgress = (activity: string) => metric(`chat_requests_in_progress{activity="${activity}"}`)
/** A slot becomes free shortly after its response was read, so this polls. */
const noneIs = (activity: string) => until(`no request is ${activity}`, async () => (await inProgress(activity)) === 0)

const timed = async (reply: Promise<Reply>) => {
  const began = performance.now()
  return { reply: await reply, millis: performance.now() - began }
}

/** Takes every slot with requests that cannot end before `release`. */
const fillSlots = async () => {
  const letGo = await lockMessages()
  const stuck = times(slots, () => ada.call("GET", `/chatroom/${room}/latest`))
  await until("all slots are taken", async () => (await inProgress("working")) === slots)
  return async () => {
    await letGo()
    return Promise.all(stuck)
  }
}

describe("a process at its request limit", () => {
  it("makes a request wait, then refuses it with Retry-After", async () => {
    const release = await fillSlots()
    const refusedBefore = await metric("chat_requests_refused_total")
    const { millis, reply } = await timed(bob.call("GET", "/user/me"))
    assertProblem(reply, 503, "overloaded")
    assert.isAtLeast(millis, 950)
    assert.isBelow(millis, 10_000)
    assert.strictEqual(reply.headers.get("retry-after"), "1")
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    assert.strictEqual(reply.headers.get("x-content-type-options"), "nosniff")
    assert.strictEqual((await metric("chat_requests_refused_total")) - refusedBefore, 1)
    for (const answered of await release()) assert.strictEqual(answered.status, 200)
    assert.strictEqual((await bob.call("GET", "/user/me")).status, 200)
  })

  it("refuses with a problem, whatever the request id, body or path", async () => {
    const release = await fillSlots()
    const own = await bob.call("GET", "/user/me", undefined, { "x-request-id": "mine-1" })
    assert.strictEqual(own.body.requestId, "mine-1")
    const [post, nowhere, options] = await Promise.all([
      bob.call("POST", "/chatroom", { title: "x".repeat(100) }),
      bob.call("GET", "/nowhere"),
      bob.call("OPTIONS", "/user/me")
    ])
    for (const reply of [post, nowhere, options]) assertProblem(reply, 503, "overloaded")
    await release()
    assert.lengthOf((await bob.call("GET", "/chatroom")).body.data, 0)
  })

  it("lets the configured origins read the refusal", async () => {
    const release = await fillSlots()
    const reply = await bob.call("GET", "/user/me", undefined, { origin })
    assertProblem(reply, 503, "overloaded")
    assert.strictEqual(reply.headers.get("access-control-allow-origin"), origin)
    const other = await bob.call("GET", "/user/me", undefined, { origin: "https://evil.example" })
    assertProblem(other, 503, "overloaded")
    assert.isNull(other.headers.get("access-control-allow-origin"))
    await release()
  })

  it("still answers probes, webhooks and operators", async () => {
    const release = await fillSlots()
    for (const path of ["/healthz", "/healthz/", "/healthz?x=1", "/readyz"]) {
      const took = await quickest(async () => {
        const reply = await bob.call("GET", path)
        assert.strictEqual(reply.status, 200, reply.text)
      })
      assert.isBelow(took, 900)
    }
    const stripe = await bob.call("POST", "/webhook/stripe", {}, { "stripe-signature": "t=1,v1=x" })
    assertProblem(stripe, 503, "billing_unavailable")
    assert.strictEqual((await bob.call("GET", "/admin/queue", undefined, { authorization: "Bearer operator" })).status, 200)
    await release()
  })

  it("does not execute a request whose client has disconnected", async () => {
    const kept = await bob.room()
    const release = await fillSlots()
    const gone = new AbortController()
    const asked = fetch(`${backend.url}/chatroom/${kept}`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${bob.token}` },
      signal: gone.signal
    }).catch(() => "gone")
    await sleep(200)
    gone.abort()
    assert.strictEqual(await asked, "gone")
    await sleep(100)
    await release()
    await noneIs("working")
    assert.strictEqual((await bob.call("GET", `/chatroom/${kept}`)).status, 200)
  })

  it("serves a short burst without a refusal", async () => {
    const replies = await Promise.all(times(100, (n) => (n % 2 === 0 ? ada : bob).call("GET", "/user/me")))
    assert.deepStrictEqual([...new Set(replies.map(({ status }) => status))], [200])
  })

  it("serves again after the overload, repeatedly", async () => {
    for (const _ of times(3, (n) => n)) {
      const release = await fillSlots()
      const waiting = times(20, () => bob.call("GET", "/user/me"))
      await sleep(100)
      await release()
      for (const reply of await Promise.all(waiting)) assert.strictEqual(reply.status, 200, reply.text)
    }
    await noneIs("working")
  })
})

/** Five users who wait for replies of their own, as often as each may. */
const waitsOfFive = async (question: string, seconds: number): Promise<Array<Promise<Reply>>> => {
  const waits: Array<Promise<Reply>> = []
  for (const person of [ada, ...(await Promise.all(times(4, () => logIn(backend.url))))]) {
    const slow = await person.room()
    const asked = (await person.ask(slow, question)).body.reply.id
    waits.push(
      ...times(4, () => person.call("GET", `/chatroom/${slow}/message/${asked}?wait=${seconds}`)),
      person.call("GET", `/chatroom/${slow}/latest?wait=${seconds}`)
    )
  }
  return waits
}

describe("waiting requests", () => {
  it("hold no working slot while they wait for a reply", async () => {
    const other = await bob.room()
    const waits = [
      ...(await waitsOfFive("[[latency 4000]] slow", 15)),
      bob.call("POST", `/chatroom/${other}/message`, { content: "[[latency 3000]] slow, too" }, { prefer: "wait=15" })
    ]
    await until("all of them wait", async () => (await inProgress("waiting")) === waits.length)
    await noneIs("working")
    for (const _ of times(10, (n) => n)) assert.strictEqual((await bob.call("GET", "/user/me")).status, 200)
    const replies = await Promise.all(waits)
    assert.deepStrictEqual([...new Set(replies.map(({ status }) => status))].sort(), [200, 201])
    for (const { body } of replies) assert.strictEqual((body.reply ?? body).status, "completed")
    await noneIs("waiting")
  })

  it("release their slots when their clients disconnect", async () => {
    const slow = await ada.room()
    const asked = (await ada.ask(slow, "[[latency 60000]] never")).body.reply.id
    const gone = new AbortController()
    const waits = times(5, () =>
      fetch(`${backend.url}/chatroom/${slow}/message/${asked}?wait=30`, {
        headers: { authorization: `Bearer ${ada.token}` },
        signal: gone.signal
      }).catch(() => "gone")
    )
    await until("all of them wait", async () => (await inProgress("waiting")) === 5)
    gone.abort()
    await Promise.all(waits)
    await noneIs("waiting")
    await noneIs("working")
    await ada.call("POST", `/chatroom/${slow}/message/${asked}/cancel`)
  })
})

/** A connection with a body that does not end. */
const dripping = (token: string): Socket => {
  const socket = connect(Number(new URL(backend.url).port), "127.0.0.1")
  socket.on("error", () => {})
  socket.write(
    `POST /chatroom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"title":`
  )
  return socket
}

describe("unfinished bodies", () => {
  it("hold no working slot and get 408 with a closed connection", { timeout: 60_000 }, async () => {
    const began = performance.now()
    const sockets = times(20, () => dripping(ada.token))
    const answers = sockets.map((socket) => {
      let text = ""
      socket.on("data", (chunk) => (text += String(chunk)))
      return once(socket, "close").then(() => text)
    })
    const dribble = setInterval(() => sockets.forEach((socket) => socket.writable && socket.write(" ")), 500)
    await until("all bodies are arriving", async () => (await inProgress("receiving")) === 20)
    await noneIs("working")
    for (const _ of times(10, (n) => n)) assert.strictEqual((await bob.call("GET", "/user/me")).status, 200)
    for (const text of await Promise.all(answers)) {
      assert.match(text, /^HTTP\/1\.1 408 /)
      assert.match(text, /\r\nconnection: close\r\n/i)
      assert.strictEqual(JSON.parse(text.split("\r\n\r\n")[1] ?? "").code, "request_timeout")
    }
    clearInterval(dribble)
    const took = performance.now() - began
    assert.isAtLeast(took, 9_000)
    assert.isBelow(took, 30_000)
    await noneIs("receiving")
  })

  it("release their slots when their clients disconnect", async () => {
    const sockets = times(20, () => dripping(ada.token))
    await until("all bodies are arriving", async () => (await inProgress("receiving")) === 20)
    for (const socket of sockets) socket.destroy()
    await noneIs("receiving")
    await noneIs("working")
  })
})

describe("the database pool", () => {
  it(
    "keeps connections for other work when requests are stuck, and refuses those that wait too long",
    { timeout: 60_000 },
    async () => {
      const own = await createDatabase()
      const process = await startBackend({
        DATABASE_URL: own.url,
        GEMINI_BASE_URL: gemini.url,
        LOG_LEVEL: "none"
      })
      const lock = new pg.Client({ connectionString: own.url })
      try {
        const eve = await logIn(process.url)
        const quick = await eve.room()
        await lock.connect()
        await lock.query("begin")
        await lock.query("select 1 from users where id = $1 for update", [eve.userId])
        const began = performance.now()
        // Each wants to count its room on the user's row.
        const creates = times(25, () =>
          eve.call("POST", "/chatroom", {}).then((reply) => ({ reply, at: performance.now() - began }))
        )
        await sleep(500)
        const refused = (await Promise.all(creates.map((create) => Promise.race([create, sleep(8_000)])))).filter(
          (each) => each !== undefined
        )
        assert.lengthOf(refused, 15)
        for (const { at, reply } of refused) {
          assertProblem(reply, 503, "overloaded")
          assert.isAtLeast(at, 2_900)
        }
        const ready = await eve.call("GET", "/readyz")
        assert.strictEqual(ready.status, 200, ready.text)
        assert.strictEqual((await eve.call("GET", `/chatroom/${quick}/latest`)).status, 200)
        await lock.query("rollback")
        const accepted = (await Promise.all(creates)).filter(({ reply }) => reply.status === 201)
        assert.lengthOf(accepted, 10)
        assert.strictEqual((await eve.ask(quick, "[[say fine]] ?", { wait: 20 })).status, 201)
        assert.lengthOf((await eve.call("GET", "/chatroom")).body.data, 11)
      } finally {
        await lock.end()
        await process.stop()
        await own.drop()
      }
    }
  )
})
