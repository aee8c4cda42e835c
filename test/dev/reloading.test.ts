import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { runReloading } from "../../dev/Reloading.ts"
import { until } from "../support/wait.ts"

let folder: string
const said: Array<string> = []
let running: Fiber.Fiber<number> | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reloading-"))
  said.length = 0
})
afterEach(async () => {
  if (running !== undefined) await Effect.runPromise(Fiber.interrupt(running))
  running = undefined
  rmSync(folder, { recursive: true, force: true })
})

const output = () => (existsSync(join(folder, "output")) ? readFileSync(join(folder, "output"), "utf8") : "")

/** A program that says a word, and stays until SIGTERM; what `more` is follows it. */
const write = (word: string, more = "setInterval(() => {}, 1_000)") =>
  writeFileSync(
    join(folder, "program.ts"),
    `import { appendFileSync } from "node:fs"
const say = (text: string) => appendFileSync(${JSON.stringify(join(folder, "output"))}, text)
process.once("SIGTERM", () => { say(" stopped "); process.exit(0) })
say(${JSON.stringify(word)})
${more}
`
  )

const start = () => {
  const program = {
    entry: join(folder, "program.ts"),
    env: process.env,
    folders: [folder],
    prepare: Effect.void,
    say: (line: string) => Effect.sync(() => void said.push(line))
  }
  const fiber = Effect.runFork(runReloading(program))
  running = fiber
  return fiber
}

describe("npm run dev", () => {
  it("starts the program again, after it has stopped, when a source changes", async () => {
    write("one")
    start()
    await until("the first start", () => output() === "one")
    writeFileSync(join(folder, "notes.txt"), "no source")
    write("two")
    await until("the second start", () => output() === "one stopped two")
    assert.deepStrictEqual(said, ["Reload      program.ts"])
  })

  it("ends with the exit code of a program that cannot start", async () => {
    write("one", "process.exit(3)")
    assert.strictEqual(await Effect.runPromise(Fiber.join(start())), 3)
    assert.strictEqual(output(), "one")
  })

  it("waits for the next change when a change broke the program", async () => {
    write("one")
    start()
    await until("the first start", () => output() === "one")
    write("two", "process.exit(3)")
    await until("the message", () => said.length === 2)
    assert.include(said[1], "after the next change")
    write("three")
    await until("the third start", () => output() === "one stopped twothree")
  })

  it("stops the program when it is interrupted", async () => {
    write("one")
    const fiber = start()
    await until("the first start", () => output() === "one")
    await Effect.runPromise(Fiber.interrupt(fiber))
    assert.strictEqual(output(), "one stopped ")
  })
})
