import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

/**
 * `npm run check`: runs every script of package.json whose name begins with `check:`, also after one has failed. The last
 * line says how many passed and failed.
 */
const { scripts }: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(readFileSync("package.json", "utf8"))
const checks = Object.entries(scripts).filter(([name]) => name.startsWith("check:"))

/** What repairs a failure without further thought. */
const repairs = new Map([
  ["check:format", "npm run format"],
  ["check:generated", "npm run generate, and commit what it writes"]
])

const failed = checks.filter(([, command]) => spawnSync(command, { shell: true, stdio: "inherit" }).status !== 0)
for (const [name] of failed) {
  const repair = repairs.get(name)
  process.stderr.write(`${name} failed${repair === undefined ? "" : `: run ${repair}`}\n`)
}
process.stdout.write(`check: ${checks.length - failed.length} passed, ${failed.length} failed\n`)
if (failed.length > 0) process.exitCode = 1
