import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { newKey } from "./Clients.ts"

const text = readFileSync("docs/openai.md", "utf8")
const blockOf = (language: string) => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(text)?.[1] ?? ""

describe("the examples of docs/openai.md", () => {
  let backends: TestBackends
  let env: Record<string, string>
  const here = (code: string) => code.replaceAll(/(?:http:\/\/)?localhost:3000/g, backends.urls[0] ?? "")

  beforeAll(async () => {
    backends = await startBackends({ LOG_LEVEL: "none" })
    const { key } = await newKey(await backends.newUser())
    env = { PATH: process.env["PATH"] ?? "", API_KEY: key }
  })
  afterAll(() => backends.stop())

  it("run in Node with the openai package", async () => {
    const code = here(blockOf("js"))
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code], { env })
    assert.include(stdout, "sky")
  })

  it("run in a shell with curl", async () => {
    const { stdout } = await promisify(execFile)("sh", ["-c", here(blockOf("sh"))], { env })
    assert.include(JSON.parse(stdout).choices[0].message.content, "sky")
  })
})
