import { spawn } from "node:child_process"
import { copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { freshMobile } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { installClient } from "../client/ClientPackage.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let proxy: TcpProxy
const folder = mkdtempSync(join(tmpdir(), "examples-"))

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 5 })
  backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
  proxy = await TcpProxy.start(backend.url)
}, 120_000)
afterAll(async () => {
  await proxy.stop()
  await backend.stop()
  await gemini.stop()
  await database.drop()
  rmSync(folder, { recursive: true })
})

const patience = { timeout: 120_000 }
const quick = `It's "quoted" with a \\ and\na line`
const echo = `You said: "${quick}"`

const start = (command: string, args: ReadonlyArray<string>) => {
  const { HOME = "", PATH = "" } = process.env
  const env = { HOME, PATH, BASE_URL: `http://127.0.0.1:${proxy.port}`, MOBILE: freshMobile() }
  const program = spawn(command, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 })
  const shown = { out: "", err: "" }
  program.stdout.setEncoding("utf8").on("data", (text: string) => (shown.out += text))
  program.stderr.setEncoding("utf8").on("data", (text: string) => (shown.err += text))
  return { shown, ended: new Promise((resolve) => program.once("close", resolve)) }
}

const storedReply = async (): Promise<string> => {
  const [row] = await database.query<{ content: string }>(
    "select content from messages where role = 'model' order by id desc limit 1"
  )
  return row?.content ?? ""
}

const examples: ReadonlyArray<readonly [name: string, prepare: () => Promise<readonly [string, ReadonlyArray<string>]>]> = [
  ["curl/ask.sh", async () => ["bash", [resolve("examples/curl/ask.sh")]]],
  [
    "node/ask.mjs",
    async () => {
      const { folder: project } = await installClient(mkdtempSync(join(folder, "node-")))
      copyFileSync("examples/node/ask.mjs", join(project, "ask.mjs"))
      return [process.execPath, [join(project, "ask.mjs")]]
    }
  ]
]

describe.each(examples)("examples/%s", (_, prepare) => {
  let command: string
  let args: ReadonlyArray<string>

  beforeAll(async () => {
    ;[command, args] = await prepare()
  }, 120_000)

  it("asks and prints the reply, whatever is in the question", patience, async () => {
    const { ended, shown } = start(command, [...args, quick])
    assert.strictEqual(await ended, 0, shown.err)
    assert.include(shown.out, echo)
    assert.strictEqual(shown.out.trim(), await storedReply())
  })

  it("goes on after a lost connection", patience, async () => {
    const { ended, shown } = start(command, [...args, "[[length 1200]] [[chunks 100 delay 50]]"])
    await until("the first text", () => shown.out.length > 40)
    const before = proxy.refused()
    proxy.cut()
    await until("it connects again", () => proxy.refused() > before)
    proxy.restore()
    assert.strictEqual(await ended, 0, shown.err)
    assert.strictEqual(shown.out.trim(), (await storedReply()).trim())
  })

  it("says why it is refused", patience, async () => {
    const { ended, shown } = start(command, [...args, " "])
    assert.strictEqual(await ended, 1)
    assert.include(shown.err, "validation_failed")
  })
})
