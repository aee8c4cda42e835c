import { readFileSync, writeFileSync } from "node:fs"
import { variables } from "../src/config/Variables.ts"

/** Writes the README's table of settings from the catalogue; with `--check`, fails when the committed one differs. */
const file = new URL("../README.md", import.meta.url)
const readme = readFileSync(file, "utf8")

const whenNotSet = (variable: (typeof variables)[keyof typeof variables]): string => {
  if ("default" in variable) return variable.default
  const { defaultValue } = variable
  return typeof defaultValue === "number" ? `${defaultValue}` : `\`${defaultValue}\``
}

const rows = Object.entries(variables).map(
  ([name, variable]) => `| \`${name}\` | ${variable.meaning} | ${whenNotSet(variable)} |`
)
const table = ["| name | meaning | when not set |", "|---|---|---|", ...rows].join("\n")
const made = readme.replace(
  /(<!-- settings -->\n)[^]*?(\n<!-- \/settings -->)/,
  (_, start: string, end: string) => start + table + end
)
if (!made.includes(table)) throw new Error("README.md has no place for the settings")

if (!process.argv.includes("--check")) {
  writeFileSync(file, made)
} else if (made !== readme) {
  process.stderr.write("README.md's settings are not those of src/config/Variables.ts: run `npm run generate` and commit it\n")
  process.exit(1)
}
