import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { variables } from "../src/config/Variables.ts"

/** Writes .env.example from src/config/Variables.ts; with `--check`, fails when the committed file differs. */
const file = new URL("../.env.example", import.meta.url)
const width = 100

/** Markdown without links and code marks. */
const plain = (text: string): string => text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll("`", "")

/** The text as comment lines. */
const comment = (text: string): string => {
  const lines: Array<string> = []
  for (const word of plain(text).split(" ")) {
    const line = lines.at(-1)
    if (line === undefined || line.length + word.length >= width) lines.push(`# ${word}`)
    else lines[lines.length - 1] = `${line} ${word}`
  }
  return lines.join("\n")
}

const entries = Object.entries(variables).map(([name, variable]) => {
  const shown = "default" in variable ? `. When not set: ${variable.default}` : ""
  const value = "default" in variable ? "" : `${variable.defaultValue}`
  return `${comment(`${variable.meaning}${shown}`)}\n#${name}=${value}\n`
})

const head = comment(
  "Generated from src/config/Variables.ts: copy it to .env, which npm run dev reads, and remove the # before the settings that you change. Production reads the environment alone."
)
const generated = `${head}\n\n${entries.join("\n")}`

if (!process.argv.includes("--check")) {
  writeFileSync(file, generated)
} else if (!existsSync(file) || readFileSync(file, "utf8") !== generated) {
  process.stderr.write(".env.example differs from src/config/Variables.ts: run `npm run generate` and commit it\n")
  process.exit(1)
}
