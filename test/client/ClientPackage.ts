import { execFile, spawn } from "node:child_process"
import { mkdir, readdir, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { buildClient } from "../../scripts/client.ts"

const run = promisify(execFile)
const patience = { timeout: 120_000 }
/** The Node that runs the programs; `CLIENT_NODE` names another one. */
const node = process.env["CLIENT_NODE"] ?? process.execPath

/** A project that has installed the packed client, and nothing else. */
export interface Project {
  readonly folder: string
  /** Names of the files in the tarball. */
  readonly files: ReadonlyArray<string>
  readonly write: (name: string, text: string) => Promise<void>
  /** What the compiler says of files of the project; without `dom`, with the types of Node alone. */
  readonly compile: (names: ReadonlyArray<string>, types: "node" | "dom") => Promise<string>
}

/** Builds and packs the client, and installs the tarball into an empty project without a network. */
export const installClient = async (folder: string): Promise<Project> => {
  const built = join(folder, "package")
  await buildClient(built)
  const packed = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: built, ...patience })
  const [{ filename, files }]: [{ filename: string; files: ReadonlyArray<{ path: string }> }] = JSON.parse(packed.stdout)
  const project = join(folder, "project")
  await mkdir(project)
  const write = (name: string, text: string) => writeFile(join(project, name), text)
  await write("package.json", JSON.stringify({ name: "project", private: true, type: "module" }))
  const options = ["--offline", "--no-audit", "--no-fund", "--cache", join(folder, "cache")]
  await run("npm", ["install", ...options, join(folder, filename)], { cwd: project, ...patience })
  const installed = (await readdir(join(project, "node_modules"))).filter((name) => !name.startsWith("."))
  if (installed.join() !== "gemini-chat-client") throw new Error(`npm installed ${installed.join()}`)
  return {
    folder: project,
    files: files.map(({ path }) => path),
    write,
    compile: async (names, types) => {
      const compilerOptions = {
        target: "ES2023",
        module: "NodeNext",
        lib: types === "dom" ? ["ES2023", "DOM", "DOM.Iterable"] : ["ES2023"],
        types: types === "dom" ? [] : ["node"],
        typeRoots: [resolve("node_modules/@types")],
        outDir: "out",
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        skipLibCheck: false
      }
      await write("tsconfig.json", JSON.stringify({ compilerOptions, files: names }))
      const compiler = resolve("node_modules/typescript/bin/tsc")
      return run(process.execPath, [compiler, "-p", project, "--pretty", "false"], patience).then(
        () => "",
        ({ stdout }) => String(stdout)
      )
    }
  }
}

/**
 * Runs a program of the project. Where it prints `{"pause": name, "value": …}`, the function of that name runs, and its result
 * is sent to the program as a line. Returns the last line that is JSON.
 */
export const runProgram = (
  file: string,
  args: ReadonlyArray<string>,
  pauses: Readonly<Record<string, (value: string) => Promise<string | void>>> = {}
): Promise<unknown> => {
  const program = spawn(node, [file, ...args], { stdio: ["pipe", "pipe", "pipe"], timeout: 60_000 })
  let said = ""
  program.stderr.setEncoding("utf8").on("data", (text: string) => (said += text))
  const answer = async (name: string, value: string) => {
    program.stdin.write(`${(await pauses[name]?.(value)) ?? ""}\n`)
  }
  return new Promise((resolve, reject) => {
    let last: unknown
    createInterface(program.stdout).on("line", (line) => {
      if (!line.startsWith("{")) return
      last = JSON.parse(line)
      const { pause, value = "" }: { readonly pause?: string; readonly value?: string } = Object(last)
      if (pause !== undefined) answer(pause, value).catch(reject)
    })
    program.once("close", (code) => (code === 0 ? resolve(last) : reject(new Error(`the program ended with ${code}: ${said}`))))
  })
}
