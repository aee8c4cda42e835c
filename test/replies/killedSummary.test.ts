import { assert, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { awaitEnd } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { startBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

const small = plainModel("gemini-small", { contextTokens: { basic: 6_000, pro: 6_000 } })
const settings = {
  ROOM_SUMMARIES: "on",
  SUMMARY_MODEL: "gemini-summariser",
  GEMINI_MODEL: small.id,
  MODELS: modelsWith(small, "gemini-summariser"),
  BASIC_DAILY_PROMPTS: "1000",
  LOG_LEVEL: "info"
}

/** The statements of a job, in their order. Each takes some seconds, so only two are killed at unless all are asked for. */
const all = [
  "insert into room_summaries",
  "with recursive reply as",
  "as (question uuid, answer uuid)",
  "record_late_calls",
  "update room_summaries set upto_id"
]
const statements = process.env["SUMMARY_KILLS"] === "all" ? all : all.filter((statement) => /insert|record/.test(statement))

it("a worker that is killed at any statement of a summary leaves a room that goes on", { timeout: 240_000 }, async () => {
  const backends = await startBackends({ ...settings, ROLE: "api", LOG_LEVEL: "none" })
  const { database, gemini } = backends
  let deadly: string | undefined
  let victim: Awaited<ReturnType<typeof startProcess>> | undefined
  let seen = 0
  const proxy = await TcpProxy.start(database.url, (bytes) => {
    if (deadly === undefined || !bytes.includes(deadly)) return
    deadly = undefined
    seen++
    void victim?.kill("SIGKILL")
  })
  const start = async () => {
    const worker = await startProcess({
      ...settings,
      ROLE: "worker",
      DATABASE_URL: proxy.through(database.url),
      // With two URLs no statement is prepared by name, so that each is sent as text.
      DATABASE_DIRECT_URL: database.url,
      GEMINI_BASE_URL: gemini.url
    })
    await worker.started()
    return worker
  }
  try {
    victim = await start()
    const ada = await backends.newUser()
    const ask = async (room: string, content: string) => (await awaitEnd(ada, await ada.ask(room, content))).body
    const summaryOf = (room: string) => ada.call("GET", `/chatroom/${room}/summary`)
    for (const [index, statement] of statements.entries()) {
      const room = await ada.room()
      const filler = "lorem ".repeat(1_630)
      for (const n of [0, 1, 2]) await ask(room, `[killed ${index} ${n}] [[summary Fact ${index}.]] ${filler}`)
      deadly = statement
      assert.strictEqual((await ask(room, `[killed ${index} 3] ${filler}`)).status, "completed")
      await victim.exited
      assert.strictEqual(seen, index + 1, statement)

      victim = await start()
      const reply = await ask(room, `[killed ${index} 4] And now?`)
      assert.strictEqual(reply.status, "completed", statement)
      const { summary } = (await ada.call("GET", `/chatroom/${room}/message/${reply.id}/context`)).body
      const found = await summaryOf(room)
      // Only the last statement may have stored it.
      if (statement !== all.at(-1)) assert.deepStrictEqual([summary, found.status], [null, 404], statement)
      // As when the claim of the killed process has ended.
      await database.query("update room_summaries set rests_until = now() where rests_until is not null and chatroom_id = $1", [
        room
      ])
      await ask(room, `[killed ${index} 5] And then?`)
      await until("the summary", async () => (await summaryOf(room)).status === 200, { seconds: 60 })
      assert.match((await summaryOf(room)).body.text, new RegExp(`^Fact ${index}\\.`))
      const last = await ask(room, `[killed ${index} 6] And at last?`)
      const { summary: sent } = (await ada.call("GET", `/chatroom/${room}/message/${last.id}/context`)).body
      assert.strictEqual(sent.text, (await summaryOf(room)).body.text)
    }
    const [ledger] = await database.query<{ calls: number }>(
      "select count(*)::int as calls from model_calls where kind = 'summary'"
    )
    const asked = gemini.log("[killed").filter(({ model }) => model === "gemini-summariser").length
    // A call of a process that was killed may be missing, but none is there twice.
    assert.isAtMost(ledger?.calls ?? 0, asked)
    assert.isAtLeast(ledger?.calls ?? 0, statements.length - 1)
  } finally {
    await victim?.kill("SIGKILL")
    await proxy.stop()
    await backends.stop()
  }
})
