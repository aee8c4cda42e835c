import { spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../support/Backend.ts"
import { patternOf, runSteps, stepsOf } from "./Walkthrough.ts"

const readme = readFileSync("README.md", "utf8")

describe("the README's walk-through", () => {
  const folder = mkdtempSync(join(tmpdir(), "readme-"))
  const steps = stepsOf(readme)
  let port: number
  let server: ReturnType<typeof spawn>

  beforeAll(async () => {
    port = await freePort()
    const { HOME = "", PATH = "" } = process.env
    const settings = { PORT: String(port), DEV_DATA_DIR: join(folder, "data") }
    server = spawn("npm", ["run", "dev"], { env: { HOME, PATH, ...settings }, stdio: ["ignore", "pipe", "pipe"], detached: true })
    let output = ""
    await new Promise<void>((resolve, reject) => {
      for (const stream of [server.stdout, server.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text
          if (output.includes(`ready http://localhost:${port}`)) resolve()
        })
      }
      server.once("exit", () => reject(new Error(`npm run dev ended: ${output}`)))
    })
  }, 120_000)
  afterAll(async () => {
    // The whole group, as Ctrl-C does it.
    if (server.exitCode === null && server.pid !== undefined) {
      const exited = new Promise((resolve) => server.once("exit", resolve))
      process.kill(-server.pid, "SIGINT")
      await exited
    }
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  it("prints what it says", { timeout: 120_000 }, async () => {
    assert.isAtLeast(steps.length, 9)
    const here = (text: string) => text.replaceAll("localhost:3000", `localhost:${port}`)
    const printed = await runSteps(
      steps.map(({ command, documented }) => ({ command: here(command), documented })),
      folder
    )
    for (const [index, { command, documented }] of steps.entries()) {
      assert.match(printed[index] ?? "", patternOf(here(documented)), command)
    }
  })
})

describe("what the documents name", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> }

  for (const file of ["README.md", "CONTRIBUTING.md", "SECURITY.md"]) {
    const text = readFileSync(file, "utf8")

    it(`is there: the commands of ${file}`, () => {
      const named = [...text.matchAll(/npm (?:run ([\w:]+)|(test|start)\b)/g)].map(([, script, short]) => script ?? short ?? "")
      for (const name of named) assert.property(scripts, name)
    })

    it(`is there: the files of ${file}`, () => {
      const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = ""]) => path)
      const paths = [...text.matchAll(/`((?:src|test|bench|scripts|migrations|postman)\/[\w./-]*)`/g)].map(
        ([, path = ""]) => path
      )
      for (const path of [...links, ...paths]) assert.isTrue(existsSync(path), path)
    })

    it(`is there: the sections that ${file} links to`, () => {
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, "")
          .replaceAll(" ", "-")
      )
      for (const [, anchor = ""] of text.matchAll(/\]\(#([^)]+)\)/g)) assert.include(headings, anchor)
    })
  }
})
