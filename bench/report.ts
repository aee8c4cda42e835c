import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const file = new URL("README.md", import.meta.url)

/** Replaces what stands between the two markers of a name in bench/README.md. */
export const writeReport = (name: string, text: string): void => {
  const old = readFileSync(file, "utf8")
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = old.indexOf(begin)
  const to = old.indexOf(end)
  if (from === -1 || to === -1) throw new Error(`bench/README.md has no markers ${begin} and ${end}`)
  writeFileSync(file, `${old.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${old.slice(to)}`)
  execFileSync("node_modules/.bin/oxfmt", [fileURLToPath(file)])
}
