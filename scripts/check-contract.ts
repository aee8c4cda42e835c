import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { breaksBetween, contractOf } from "./contractDiff.ts"

/**
 * Fails when openapi.json breaks clients of the last release, whose contract is in `openapi.released.json` (a file instead
 * of the history, so that shallow clones have it). `openapi.breaks.json` lists intended breaks with their reasons.
 * `--release` makes the current document the released one.
 */
const read = (name: string) => JSON.parse(readFileSync(name, "utf8"))
const write = (name: string, value: unknown) => writeFileSync(name, `${JSON.stringify(value, null, 2)}\n`)
const fail = (line: string) => {
  process.stderr.write(`${line}\n`)
  process.exitCode = 1
}

const current = read("openapi.json")

if (!process.argv.includes("--release")) {
  const intended: Record<string, string> = read("openapi.breaks.json")
  const breaks = breaksBetween(read("openapi.released.json"), current)
  for (const { key, message } of breaks)
    if (intended[key] === undefined) fail(`breaks clients: ${message}\n  ${JSON.stringify(key)}`)
  for (const key of Object.keys(intended)) {
    if (!breaks.some((found) => found.key === key))
      fail(`openapi.breaks.json lists a change that is not a break: ${JSON.stringify(key)}`)
  }
  if (process.exitCode === 1) fail("List an intended break in openapi.breaks.json: its key, and the reason.")
} else if (existsSync("openapi.released.json") && read("openapi.released.json").info.version === current.info.version) {
  fail(`Version ${current.info.version} is already released: raise it in src/api/Api.ts first.`)
} else {
  write("openapi.released.json", contractOf(current))
  write("openapi.breaks.json", {})
}
