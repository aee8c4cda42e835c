import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { parse } from "yaml"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { type Settings, startProcess } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { run } from "./Bundle.ts"
import { contextOf } from "./DockerfileParser.ts"
import { buildImage, pidInside, type Image, obstacle } from "./ImageBuilder.ts"
import { signUpAndAsk } from "./signUpAndAsk.ts"

describe("the build context", () => {
  it("contains the production sources only", () => {
    const folder = mkdtempSync(join(tmpdir(), "context-"))
    const put = (path: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), "")
    }
    const taken = [
      "package.json",
      "package-lock.json",
      "openapi.json",
      "scripts/build.ts",
      "migrations/index.ts",
      "src/main.ts",
      "src/keys/Keys.ts",
      "client/src/index.ts",
      "web/main.tsx"
    ]
    const left = [".env", ".npmrc", ".git/config", ".data/jwt-keys", "node_modules/pg/index.js", "dist/main.mjs", "dev/main.ts"]
    for (const path of [...taken, ...left, "Dockerfile", "test/some.test.ts"]) put(path)
    writeFileSync(join(folder, ".dockerignore"), readFileSync(".dockerignore", "utf8"))
    assert.sameMembers([...contextOf(folder)], taken)
    rmSync(folder, { recursive: true })
  })

  it("follows Docker's rules: the last matching pattern decides, and covers a folder's content", () => {
    const folder = mkdtempSync(join(tmpdir(), "context-"))
    mkdirSync(join(folder, "a/b"), { recursive: true })
    for (const path of ["a/one.md", "a/two.ts", "a/b/one.md", "a/b/two.ts", "one.md"]) writeFileSync(join(folder, path), "")
    const given = (ignore: string) => {
      writeFileSync(join(folder, ".dockerignore"), `# which\n.dockerignore\n${ignore}\n`)
      return [...contextOf(folder)].sort()
    }
    assert.deepStrictEqual(given("*.md"), ["a/b/one.md", "a/b/two.ts", "a/one.md", "a/two.ts"])
    assert.deepStrictEqual(given("**/*.md"), ["a/b/two.ts", "a/two.ts"])
    assert.deepStrictEqual(given("/a/b/"), ["a/one.md", "a/two.ts", "one.md"])
    assert.deepStrictEqual(given("*\n!a/b"), ["a/b/one.md", "a/b/two.ts"])
    assert.deepStrictEqual(given("!a/b\n*"), [])
    rmSync(folder, { recursive: true })
  })
})

describe("the image", () => {
  const reason = obstacle()
  let built: Awaited<ReturnType<typeof buildImage>> | undefined
  let database: TestDatabase
  let gemini: GeminiSimulator
  const running: Array<Awaited<ReturnType<typeof startProcess>>> = []

  beforeAll(async () => {
    if (reason !== undefined) {
      process.stderr.write(`The Dockerfile's steps are not run: ${reason}\n`)
      return
    }
    built = await buildImage(".")
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
  }, 600_000)
  afterEach(async () => {
    for (const process of running.splice(0)) await process.kill("SIGKILL")
  })
  afterAll(async () => {
    if (built === undefined) return
    await gemini.stop()
    await database.drop()
    built.remove()
  })

  const imageOr = (skip: (reason?: string) => never): Image => (built === undefined ? skip(reason) : built.image)

  const start = async (image: Image, settings: Partial<Settings> = {}) => {
    const server = await startProcess(
      { DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ...settings },
      image.program(image.cmd)
    )
    running.push(server)
    await server.started()
    const inside = pidInside(server.pid)
    return { ...server, inside, terminate: () => (process.kill(inside, "SIGTERM"), server.exited) }
  }
  /** Runs a command in the image and returns how it ended, failures included. */
  const runIn = async (image: Image, command: ReadonlyArray<string>, env: Record<string, string> = {}) => {
    const { args, command: program } = image.program(command)
    const { PATH = "" } = process.env
    return run(program, [...args], { env: { PATH, ...env } }).then(
      ({ stderr, stdout }) => ({ code: 0, stderr, stdout }),
      (error) => ({ code: error.code, stderr: error.stderr, stdout: error.stdout })
    )
  }

  it(
    "contains the bundle, the native addon and the health check, read-only to its user",
    { timeout: 120_000 },
    async ({ skip }) => {
      const image = imageOr(skip)
      const app = join(image.root, "app")
      const all = readdirSync(app, { recursive: true, withFileTypes: true })
      const files = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(app.length + 1))
      const others = files.filter(
        (file) => !/^(dist\/[\w-]+\.mjs(\.map)?|dist\/web\/.+|node_modules\/@node-rs\/argon2[\w-]*\/[\w.-]+)$/.test(file)
      )
      assert.sameMembers(others, ["dist/openapi.json", "healthcheck.mjs"])
      assert.includeMembers(files, ["dist/main.mjs", "dist/migrate.mjs", "dist/web/index.html.br"])
      for (const { name, parentPath } of all) {
        const { mode, uid } = statSync(join(parentPath, name))
        assert.deepStrictEqual([uid, mode & 0o022], [0, 0], name)
      }
      assert.strictEqual(image.user, "node")
    }
  )

  it("serves as a non-root user, is healthy, and drains on SIGTERM", { timeout: 120_000 }, async ({ skip }) => {
    const image = imageOr(skip)
    const server = await start(image)
    assert.match(readFileSync(`/proc/${server.inside}/status`, "utf8"), /^Uid:\t1000\t1000\t1000\t1000$/m)
    // The namespaces' first process, as in a container: a signal it does not handle would be dropped.
    assert.match(readFileSync(`/proc/${server.inside}/status`, "utf8"), /^NSpid:\t\d+\t1$/m)
    assert.strictEqual(await signUpAndAsk(server.url, "[[say From the image.]]"), "From the image.")

    const { port: PORT } = new URL(server.url)
    assert.deepStrictEqual(await runIn(image, image.healthcheck, { PORT }), { code: 0, stderr: "", stdout: "" })
    assert.deepStrictEqual(await server.terminate(), { code: 0, signal: null })
    assert.deepStrictEqual(await runIn(image, image.healthcheck, { PORT }), { code: 1, stderr: "", stdout: "" })
  })

  it("is healthy as a worker without a port", { timeout: 120_000 }, async ({ skip }) => {
    const image = imageOr(skip)
    const server = await start(image, { ROLE: "worker" })
    assert.strictEqual((await runIn(image, image.healthcheck, { ROLE: "worker" })).code, 0)
    assert.deepStrictEqual(await server.terminate(), { code: 0, signal: null })
  })

  it("exits with one line for each setting that is missing", { timeout: 120_000 }, async ({ skip }) => {
    const image = imageOr(skip)
    const ended = await runIn(image, image.cmd)
    assert.deepStrictEqual([ended.code, ended.stdout], [1, ""])
    assert.match(ended.stderr, /^cannot start: DATABASE_URL: is required \(postgres:\/\/…\)\n(cannot start: [A-Z_]+: [^\n]+\n)+$/)
  })

  it("migrates with the preDeployCommand of the paid blueprint", { timeout: 120_000 }, async ({ skip }) => {
    const image = imageOr(skip)
    const empty = await createDatabase()
    await empty.query("drop table migrations")
    await empty.query("drop schema graphile_worker cascade")
    await empty.query("drop schema public cascade")
    await empty.query("create schema public")
    for (const { preDeployCommand } of parse(readFileSync("render.paid.yaml", "utf8")).services) {
      const { code, stderr } = await runIn(image, preDeployCommand.split(" "), { APP_ENV: "test", DATABASE_URL: empty.url })
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    }
    assert.isAbove((await empty.query("select 1 from migrations")).length, 4)
    await empty.drop()
  })
})
