import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { type Program, type Settings, startProcess } from "../support/Backend.ts"
import { freshMobile, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { buildBundle, run } from "./Bundle.ts"
import { signUpAndAsk } from "./signUpAndAsk.ts"

let bundle: Awaited<ReturnType<typeof buildBundle>>
let database: TestDatabase
let gemini: GeminiSimulator
const running: Array<Awaited<ReturnType<typeof startProcess>>> = []

const start = async (program: Program, settings: Partial<Settings> = {}) => {
  const process = await startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ...settings }, program)
  running.push(process)
  await process.started()
  return process
}
/** The bundle, run as the image runs it. */
const bundled = (): Program => ({ args: ["--enable-source-maps", "dist/main.mjs"], cwd: bundle.folder })

beforeAll(async () => {
  bundle = await buildBundle()
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
})
afterEach(async () => {
  for (const process of running.splice(0)) await process.kill("SIGKILL")
})
afterAll(async () => {
  await gemini.stop()
  await database.drop()
  bundle.remove()
})

describe("the bundle", () => {
  it("serves a sign-up and a reply, and drains on SIGTERM", { timeout: 60_000 }, async () => {
    const server = await start(bundled())
    const ready = await request(server.url, "GET", "/readyz")
    assert.deepStrictEqual(ready.body.checks, {
      database: "ok",
      migrations: "ok",
      model: "ok",
      rights: "ok",
      notifications: "ok",
      connections: "ok",
      clock: "ok",
      process: "ok",
      worker: "ok"
    })

    assert.strictEqual(await signUpAndAsk(server.url, "[[say From the bundle.]]"), "From the bundle.")
    assert.deepStrictEqual(await server.kill("SIGTERM"), { code: 0, signal: null })
  })

  it("serves the same document and reference as the sources", async () => {
    const server = await start(bundled(), { ROLE: "api" })
    const { servers, ...document } = (await request(server.url, "GET", "/openapi.json")).body
    assert.match(servers[0].url, /^http/)
    // The samples name the server, too.
    const committed = readFileSync("openapi.json", "utf8").replaceAll("http://localhost:3000/", `${servers[0].url}/`)
    assert.deepStrictEqual({ ...JSON.parse(committed), servers }, { ...document, servers })
    const docs = await request(server.url, "GET", "/docs")
    assert.strictEqual(docs.status, 200)
    assert.isAbove(docs.text.length, 1_000_000)
  })

  it("serves the playground with files that the build compressed", async () => {
    const server = await start(bundled(), { ROLE: "api" })
    const page = await request(server.url, "GET", "/")
    const [, script = ""] = /src="([^"]+)"/.exec(page.text) ?? []
    const file = await request(server.url, "GET", script, { headers: { "accept-encoding": "br" } })
    assert.strictEqual(file.status, 200)
    assert.strictEqual(file.headers.get("content-encoding"), "br")
  })

  it("logs stack traces of the sources", async () => {
    const broken = await createDatabase()
    const server = await start(bundled(), { ROLE: "api", DATABASE_URL: broken.url })
    await broken.query("drop table otp_challenges cascade")
    const refused = await request(server.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })
    assert.strictEqual(refused.status, 500)
    assert.notMatch(refused.text, /\.ts|\.mjs/)
    assert.match(server.output(), /src\/auth\/Otp\.ts:\d+:\d+/)
    await server.kill("SIGKILL")
    await broken.drop()
  })

  it.each(["main", "migrate"])("exits with one line for each setting that is missing: %s", async (entry) => {
    const ended = await run(process.execPath, [`dist/${entry}.mjs`], { cwd: bundle.folder, env: {} }).catch((error) => error)
    assert.strictEqual(ended.code, 1)
    assert.match(ended.stderr, /^cannot start: DATABASE_URL: is required \(postgres:\/\/…\)\n(cannot start: [A-Z_]+: [^\n]+\n)+$/)
    assert.include(ended.stderr, "cannot start: GEMINI_API_KEY: is required\n")
    assert.strictEqual(ended.stdout, "")
  })

  it("migrates an empty database", async () => {
    const empty = await createDatabase()
    await empty.query("drop schema public cascade")
    await empty.query("drop schema graphile_worker cascade")
    await empty.query("create schema public")
    await run(process.execPath, ["dist/migrate.mjs"], {
      cwd: bundle.folder,
      env: { APP_ENV: "test", DATABASE_URL: empty.url }
    })
    const server = await start(bundled(), { DATABASE_URL: empty.url, MIGRATE: "off" })
    assert.strictEqual((await request(server.url, "GET", "/readyz")).status, 200)
    await server.kill("SIGKILL")
    await empty.drop()
  })

  it("contains no development code, and source maps of our own files only", () => {
    const files = readdirSync(join(bundle.folder, "dist"))
    const maps = files.filter((file) => file.endsWith(".map"))
    const sources = maps.flatMap((file) => JSON.parse(readFileSync(join(bundle.folder, "dist", file), "utf8")).sources)
    assert.isTrue(sources.some((source) => source.endsWith("/src/App.ts")))
    assert.deepStrictEqual(
      sources.filter((source) => /node_modules|\/dev\//.test(source)),
      []
    )
    assert.include(files, "packages.mjs")
    assert.notInclude(files, "packages.mjs.map")
  })
})

describe("npm start", () => {
  /** A project as it lies on a machine, without the parts that this does not need. */
  const project = (...parts: ReadonlyArray<string>) => {
    const folder = mkdtempSync(join(tmpdir(), "project-"))
    for (const part of ["package.json", "scripts", ...parts]) cpSync(part, join(folder, part), { recursive: true })
    symlinkSync(resolve("node_modules"), join(folder, "node_modules"))
    return { folder, program: { command: "npm", args: ["start"], cwd: folder } }
  }

  /** npm is gone; so must be what it ran. */
  const isGone = async (url: string) => {
    const left = await request(url, "GET", "/healthz").catch(() => undefined)
    assert.isUndefined(left)
  }

  it("runs the bundle if there is one, and drains on a SIGTERM to npm", { timeout: 60_000 }, async () => {
    const { folder, program } = project()
    cpSync(join(bundle.folder, "dist"), join(folder, "dist"), { recursive: true })
    mkdirSync(join(folder, "src"))
    writeFileSync(join(folder, "src/main.ts"), `throw new Error("the sources were run")`)
    const npm = await start(program)
    assert.deepStrictEqual(await npm.kill("SIGTERM"), { code: 0, signal: null })
    await isGone(npm.url)
    rmSync(folder, { recursive: true })
  })

  it("runs the sources if there is no bundle", { timeout: 60_000 }, async () => {
    const { folder, program } = project("src", "migrations", "openapi.json")
    const npm = await start(program)
    assert.deepStrictEqual(await npm.kill("SIGTERM"), { code: 0, signal: null })
    await isGone(npm.url)
    rmSync(folder, { recursive: true })
  })
})
