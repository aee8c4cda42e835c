import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

let backends: TestBackends
let ada: Person

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1" })
  ada = await backends.newUser()
})
afterAll(() => backends.stop())

/** Runs the example with this key, and returns what it printed and whether it succeeded. */
const ask = (key: string, question: string) => {
  const { HOME = "", PATH = "" } = process.env
  const env = { HOME, PATH, BASE_URL: backends.urls[0] ?? "", API_KEY: key }
  return new Promise<{ readonly isDone: boolean; readonly out: string; readonly err: string }>((done) => {
    execFile(process.execPath, [resolve("examples/openai/ask.mjs"), question], { env, timeout: 60_000 }, (error, out, err) =>
      done({ isDone: error === null, out, err })
    )
  })
}

describe("examples/openai/ask.mjs", () => {
  it("streams the answer to the holder of an API key, until the day is used up", async () => {
    const { body } = await ada.call("POST", "/user/keys", { name: "example" })
    const first = await ask(body.key, "Why is the sky blue?")
    assert.isTrue(first.isDone, first.err)
    assert.include(first.out, 'You said: "Why is the sky blue?"')
    assert.match(first.err, /^\d+ and \d+ tokens of gemini-/m)
    const second = await ask(body.key, "And at night?")
    assert.isFalse(second.isDone)
    assert.include(second.err, "insufficient_quota")
  })

  it("says why it is refused", async () => {
    const { err, isDone, out } = await ask("gcb_wrong", "Why?")
    assert.isFalse(isDone)
    assert.strictEqual(out, "")
    assert.match(err, /invalid_api_key \(request [\da-f-]{36}\)/)
  })
})
