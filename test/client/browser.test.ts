import { execFile } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { isBuiltin } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import type { tour } from "./BrowserClient.ts"

/** One module for a browser, and the names of the modules that it would load beside itself. */
const bundleForBrowser = async (input: string) => {
  const warnings: Array<string> = []
  const bundle = await rolldown({ input, platform: "browser", onLog: (_, { message }) => void warnings.push(message) })
  const { output } = await bundle.generate({ format: "esm", minify: true, codeSplitting: false })
  await bundle.close()
  const [{ code, dynamicImports, imports, moduleIds }] = output
  return { code, modules: moduleIds, external: [...imports, ...dynamicImports], warnings }
}

/** Node's globals that a browser lacks, so that a module that uses one throws. Node's own `fetch` needs the others. */
const nodeGlobals = ["process", "global"]

/** Loads the bundle without Node's globals, runs the tour, and prints its result. */
const page = `
const [url, mobile] = process.argv.slice(2)
for (const name of ${JSON.stringify(nodeGlobals)}) delete globalThis[name]
const { tour } = await import("./client.mjs")
console.log(JSON.stringify(await tour(url, mobile)))
`

describe("the contract in a browser", () => {
  it("bundles without a Node built-in", { timeout: 120_000 }, async () => {
    const { code, external, modules, warnings } = await bundleForBrowser("src/api/Api.ts")
    assert.deepStrictEqual(external, [])
    assert.deepStrictEqual(warnings, [])
    assert.deepStrictEqual(
      modules.filter((id) => isBuiltin(id)),
      []
    )
    assert.isAbove(modules.filter((id) => id.includes("/src/api/")).length, 30)
    const kilobytes = (bytes: number) => `${Math.round(bytes / 1_000)} kB`
    process.stdout.write(
      `the contract for a browser: ${kilobytes(code.length)} minified, ${kilobytes(gzipSync(code).length)} gzipped\n`
    )
  })

  describe("with the client that Effect derives from it", () => {
    let folder: string
    let database: TestDatabase
    let backend: Awaited<ReturnType<typeof startBackend>>

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "browser-"))
      database = await createDatabase()
      backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    })
    afterAll(async () => {
      await backend.stop()
      await database.drop()
      await rm(folder, { recursive: true })
    })

    it("signs up, logs in, opens a room and lists it, without Node's globals", { timeout: 120_000 }, async () => {
      const { code, external } = await bundleForBrowser("test/client/BrowserClient.ts")
      assert.deepStrictEqual(external, [])
      await writeFile(join(folder, "client.mjs"), code)
      await writeFile(join(folder, "page.mjs"), page)
      const [country, ...digits] = freshMobile().match(/^\+91|\d{5}/g) ?? []
      const typed = [country, ...digits].join(" ")
      const { stdout } = await promisify(execFile)(process.execPath, [join(folder, "page.mjs"), backend.url, typed])
      const { list, missing, room, status }: Awaited<ReturnType<typeof tour>> = JSON.parse(stdout)
      assert.deepStrictEqual(status, ["pending", "active"])
      assert.strictEqual(room.title, "Looms")
      assert.deepStrictEqual(list, { data: [room], hasMore: false, nextCursor: null })
      assert.deepInclude(missing, { code: "chatroom_not_found", status: 404 })
    })
  })
})
