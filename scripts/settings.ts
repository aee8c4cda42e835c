import { readFileSync, writeFileSync } from "node:fs"
import { variables } from "../src/config/Variables.ts"

/** Writes the table of docs/settings.md from src/config/Variables.ts; with `--check`, fails when the committed table differs. */
const file = new URL("../docs/settings.md", import.meta.url)
const committed = readFileSync(file, "utf8")

const whenNotSet = (variable: (typeof variables)[keyof typeof variables]): string => {
  if ("default" in variable) return variable.default
  const { defaultValue } = variable
  return typeof defaultValue === "number" ? `${defaultValue}` : `\`${defaultValue}\``
}

const rows = Object.entries(variables).map(([name, variable]) => {
  const secret = "isSecret" in variable ? " (a [secret](operations.md#rotating-secrets))" : ""
  return `| \`${name}\` | ${variable.meaning}${secret} | ${whenNotSet(variable)} |`
})
const table = ["| name | meaning | when not set |", "|---|---|---|", ...rows].join("\n")
const generated = committed.replace(
  /(<!-- settings -->\n)[^]*?(\n<!-- \/settings -->)/,
  (_, start: string, end: string) => start + table + end
)
if (!generated.includes(table)) throw new Error("docs/settings.md has no place for the table of settings")

if (!process.argv.includes("--check")) {
  writeFileSync(file, generated)
} else if (generated !== committed) {
  process.stderr.write("docs/settings.md differs from src/config/Variables.ts: run `npm run generate` and commit it\n")
  process.exit(1)
}
