import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { openApiDocument } from "./openapi/OpenApiDocument.ts"
import { redocly } from "./redocly.ts"

/**
 * Writes openapi.json from the API's definition; with `--check`, fails when the committed one differs, or when
 * anything in it is against Redocly's recommended rules.
 */
const file = new URL("../openapi.json", import.meta.url)
const document = `${JSON.stringify(openApiDocument(), null, 2)}\n`
const fail = (line: string) => {
  process.stderr.write(`${line}\n`)
  process.exitCode = 1
}

interface Problem {
  readonly ruleId: string
  readonly severity: string
  readonly message: string
  readonly location: ReadonlyArray<{ readonly pointer?: string }>
}

if (!process.argv.includes("--check")) {
  writeFileSync(file, document)
} else if (readFileSync(file, "utf8") !== document) {
  fail("openapi.json is not what the API defines: run `npm run generate` and commit it")
} else {
  const report = redocly("lint", fileURLToPath(file), "--extends", "recommended", "--max-problems", "1000")
  for (const { location, message, ruleId, severity } of (report as { readonly problems: ReadonlyArray<Problem> }).problems) {
    fail(`openapi.json ${location[0]?.pointer ?? ""}: ${message} (${severity}, ${ruleId})`)
  }
}
