import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn, type Person, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { replyOf, violatedInvariants } from "../support/Invariants.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

/** Seconds after which requests that hang are ended for the test. */
const watched = 40

interface Look {
  readonly askedAt: number
  readonly at: number
  readonly status: number
  readonly cache: string
  readonly titles: ReadonlyArray<string>
}

describe("a process whose connections to Postgres go silent without closing", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let proxy: TcpProxy
  let frozen: Process
  /** Another process, not behind the proxy, that changes what the first one has cached. */
  let healthy: Process
  let ada: Person
  let room: string
  let frozenAt = 0
  const looks: Array<Look> = []
  const seconds = (at: number) => (at - frozenAt) / 1_000
  const call = (method: string, path: string, body?: unknown): Promise<Reply> =>
    request(frozen.url, method, path, { body, token: ada.token })

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator()
    proxy = await TcpProxy.start(database.url)
    const settings = { GEMINI_BASE_URL: gemini.url, BASIC_DAILY_PROMPTS: "100" }
    frozen = await startProcess({ ...settings, DATABASE_URL: proxy.through(database.url), ROLE: "all" })
    healthy = await startProcess({ ...settings, DATABASE_URL: database.url, ROLE: "api" })
    await Promise.all([frozen.started(), healthy.started()])
    ada = await logIn(healthy.url)
    room = await ada.room({ title: "before" })
    await until("a worker", async () => (await call("GET", "/readyz")).status === 200)
  })
  afterAll(async () => {
    await Promise.all([frozen.kill("SIGKILL"), healthy.kill("SIGKILL")])
    await proxy.stop()
    await gemini.stop()
    await database.drop()
  })

  /** Asks for the list every 100 ms, without waiting for answers that hang. */
  const lookAtList = async (isOver: () => boolean) => {
    const asked: Array<Promise<unknown>> = []
    while (!isOver()) {
      const askedAt = Date.now()
      asked.push(
        call("GET", "/chatroom").then(
          ({ body, headers, status }) =>
            looks.push({
              askedAt,
              at: Date.now(),
              status,
              cache: headers.get("cache-status") ?? "",
              titles: status === 200 ? body.data.map(({ title }: { title: string }) => title) : []
            }),
          () => {}
        )
      )
      await sleep(100)
    }
    await Promise.all(asked)
  }

  /** The second at which a question that was asked after the freeze is answered. */
  const firstReply = async (): Promise<number> => {
    const other = await ada.room({ title: "other" })
    const sent = await ada.ask(other, "[[say After the silence.]] [[chunks 2 delay 10]]")
    assert.strictEqual(sent.status, 202)
    const row = await until(
      "the first finished reply",
      async () => {
        const reply = await replyOf(database, sent.body.reply.id)
        return reply.completed_at !== null && reply
      },
      { seconds: watched }
    )
    assert.strictEqual(row.content, "After the silence.")
    return seconds(row.completed_at?.getTime() ?? Infinity)
  }

  it("stops trusting its cache in 15 s, reads in 20 s, and finishes replies in 25 s", { timeout: 120_000 }, async () => {
    // All of its pools have connections, and the list is cached.
    await Promise.all(Array.from({ length: 20 }, () => call("GET", `/chatroom/${room}/messages`)))
    assert.strictEqual((await ada.ask(room, "[[say warm]]", { wait: 10 })).body.reply.content, "warm")
    const inProgress = await ada.ask(room, "[[chunks 40 delay 100]] [[length 400]] Four seconds.")
    await until("a reply in progress", async () => (await replyOf(database, inProgress.body.reply.id)).status === "processing", {
      seconds: 10
    })
    await until("a cached list", async () => /hit/.test((await call("GET", "/chatroom")).headers.get("cache-status") ?? ""), {
      seconds: 10
    })

    frozenAt = Date.now()
    proxy.freeze()
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${room}`, { title: "after" })).status, 200)
    const begun = Date.now()
    const finished = firstReply()
    await Promise.all([lookAtList(() => Date.now() - begun > 25_000), finished.catch(() => {})])

    const [first, last] = [(list: ReadonlyArray<Look>) => list[0], (list: ReadonlyArray<Look>) => list.at(-1)]
    const good = looks.filter(({ status }) => status === 200).toSorted((a, b) => a.at - b.at)
    const stale = good.filter(({ titles }) => titles.includes("before"))
    const read = good.filter(({ cache }) => !cache.includes("hit"))
    const lastStale = seconds(last(stale)?.askedAt ?? frozenAt)
    const firstRead = seconds(first(read)?.at ?? Infinity)
    const reply = await finished.catch(() => Infinity)
    const times = `last stale list asked at ${lastStale.toFixed(1)} s, first list read at ${firstRead.toFixed(1)} s (${first(read)?.cache}), first reply at ${reply.toFixed(1)} s`
    process.stdout.write(`frozen connections: ${times}\n`)

    assert.isBelow(lastStale, 15, times)
    // `bypass` while there is no listener, `miss` when a new one is up: either is read from the database.
    const asked = Math.min(...read.map(({ askedAt }) => seconds(askedAt)))
    assert.isBelow(asked, 15, `no list that was asked for in the first 15 s was read; ${times}`)
    assert.isBelow(firstRead, 20, times)
    assert.isBelow(reply, 25, times)
    assert.isBelow(Math.max(...looks.map(({ askedAt, at }) => at - askedAt)), 21_000, "no request hangs")
  })

  it("says why, becomes ready in the same process, and has lost nothing", { timeout: 90_000 }, async () => {
    assert.match(frozen.output(), /Lost the notification listener/)
    await until("readiness", async () => (await call("GET", "/readyz")).status === 200)
    await until("the listener's return", () => frozen.output().includes("The notification listener is back"))
    // The lease of the reply in progress may have to end first.
    await until("all replies", async () => (await violatedInvariants(database)).length === 0, { seconds: 60 })
    assert.notMatch(frozen.output(), /cannot go on/)
    const again = await call("POST", `/chatroom/${room}/message?wait=10`, { content: "[[say again]]" })
    assert.strictEqual(again.status, 201, again.text)
  })

  it("goes on when the silence ends and old connections forward again", async () => {
    proxy.thaw()
    await sleep(1_000)
    assert.strictEqual((await call("GET", "/readyz")).status, 200)
    const answered = await call("POST", `/chatroom/${room}/message?wait=10`, { content: "[[say thawed]]" })
    assert.strictEqual(answered.body.reply.content, "thawed")
    assert.deepStrictEqual(await violatedInvariants(database), [])
  })
})
