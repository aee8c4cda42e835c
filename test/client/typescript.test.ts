import { execFile } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import { generateApi } from "swagger-typescript-api"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { freshMobile } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { flow, wrong } from "./GeneratedClientPrograms.ts"

const run = promisify(execFile)
const patience = { timeout: 120_000 }

const compilerOptions = {
  target: "ES2023",
  module: "NodeNext",
  lib: ["ES2023", "DOM", "DOM.Iterable"],
  types: ["node"],
  typeRoots: [resolve("node_modules/@types")],
  outDir: "dist",
  strict: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  noPropertyAccessFromIndexSignature: true,
  skipLibCheck: false
}

describe("a client generated from openapi.json", () => {
  let folder: string
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "client-"))
    const { files } = await generateApi({ input: resolve("openapi.json"), output: false, silent: true, httpClientType: "fetch" })
    const client = files.find(({ fileName }) => fileName === "Api")?.fileContent
    await write("Api.ts", client ?? "")
    await write("package.json", JSON.stringify({ type: "module" }))
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 0 })
    backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
  })
  afterAll(async () => {
    await backend.stop()
    await gemini.stop()
    await database.drop()
    await rm(folder, { recursive: true })
  })

  const write = async (name: string, text: string) => {
    await mkdir(join(folder, name, ".."), { recursive: true })
    await writeFile(join(folder, name), text)
  }

  /** The compiler's output for these files of the folder. */
  const compile = async (...names: ReadonlyArray<string>): Promise<string> => {
    await write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["Api.ts", ...names] }))
    const tsc = resolve("node_modules/typescript/bin/tsc")
    return run(process.execPath, [tsc, "-p", folder, "--pretty", "false"], patience).then(
      () => "",
      ({ stdout }) => String(stdout)
    )
  }

  it("compiles under strict settings and completes the flow", patience, async () => {
    await write("flow.ts", flow)
    assert.strictEqual(await compile("flow.ts"), "")
    const { stdout } = await run(process.execPath, [join(folder, "dist/flow.js"), backend.url, freshMobile()], patience)
    assert.deepStrictEqual(JSON.parse(stdout), {
      signup: "pending",
      otpCooldown: true,
      login: true,
      room: "Looms",
      emptyRoom: "New chat",
      answered: [201, "user", "model", "completed", true, true],
      rateLimit: true,
      quota: [5, 1, 4],
      latest: true,
      list: [1, true, true],
      nextPage: [true, false, null],
      me: 4,
      subscription: ["basic", null, 5],
      export: ["user", "model"],
      unfit: ["/content"],
      exceeded: [429, 5, true],
      missing: "Chatroom not found",
      refreshed: 200,
      logout: 204,
      afterLogout: "session_revoked"
    })
  })

  it("rejects each wrong use by its types", patience, async () => {
    const head = `import { Api } from "./Api.js"\nconst api = new Api()\nconst id = "01a1fd71-dc20-7d14-9c25-6d4455667704"\n`
    for (const [index, [, statement]] of wrong.entries())
      await write(`wrong${index}.ts`, `${head}export const use = ${statement}\n`)
    const said = await compile(...wrong.map((_, index) => `wrong${index}.ts`))
    for (const [index, [what]] of wrong.entries())
      assert.match(said, new RegExp(`wrong${index}\\.ts\\(4,\\d+\\): error TS`), what)
    assert.notMatch(said, /Api\.ts|\([123],/, "nothing else is wrong")
  })
})
