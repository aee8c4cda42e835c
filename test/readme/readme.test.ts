import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { stepsOf } from "../../scripts/walkthrough.ts"
import { freePort } from "../../dev/freePort.ts"
import { patternOf, runSteps } from "./Walkthrough.ts"

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

  it("prints the documented output", { timeout: 120_000 }, async () => {
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

  it("runs on a server that pages of front-end tools may call", async () => {
    const headers = { origin: "http://localhost:5173", "access-control-request-method": "POST" }
    const preflight = await fetch(`http://localhost:${port}/chatroom`, { method: "OPTIONS", headers })
    assert.strictEqual(preflight.headers.get("access-control-allow-origin"), headers.origin)
  })
})

/** The anchors that GitHub gives the headings of a document. */
const anchorsOf = (file: string): ReadonlyArray<string> =>
  [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w -]/g, "")
      .replaceAll(" ", "-")
  )

describe("the documents", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> }
  const pages = readdirSync("docs")
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name))

  for (const file of ["README.md", "CONTRIBUTING.md", "SECURITY.md", "client/README.md", "examples/README.md", ...pages]) {
    const text = readFileSync(file, "utf8")

    it(`name existing commands: ${file}`, () => {
      const named = [...text.matchAll(/npm (?:run ([\w:]+)|(test|start)\b)/g)].map(([, script, short]) => script ?? short ?? "")
      for (const name of named) assert.property(scripts, name)
    })

    it(`name existing files: ${file}`, () => {
      const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path = ""]) => join(dirname(file), path))
      const folders = "src|web|dev|simulators|test|bench|scripts|migrations|postman|docs"
      const paths = [...text.matchAll(new RegExp(`\`((?:${folders})/[\\w./-]*)\``, "g"))].map(([, path = ""]) => path)
      const missing = [...links, ...paths].filter((path) => !existsSync(path))
      assert.deepStrictEqual(missing, [])
    })

    it(`link to existing sections: ${file}`, () => {
      for (const [, path = "", anchor = ""] of text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]+)\)/g)) {
        assert.include(anchorsOf(path === "" ? file : join(dirname(file), path)), anchor)
      }
    })

    it(`hold commands that can be pasted: ${file}`, () => {
      for (const [block, commands = ""] of text.matchAll(/^```sh\n([^]*?)^```$/gm)) {
        // A prompt is not part of a command, zsh takes no comment behind one, and `--json` needs a recent curl.
        assert.notMatch(commands, /^[$>%] |(?:^|\s)#|--json/m, block)
        execFileSync("sh", ["-n"], { input: commands })
      }
    })
  }
})
