import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Schema } from "effect"
import { openApiDocument } from "./openapi/OpenApiDocument.ts"
import { redocly } from "./redocly.ts"

/**
 * Writes openapi.json from the API's definition; with `--check`, fails when the committed file differs or breaks one of
 * Redocly's recommended rules.
 */
const file = new URL("../openapi.json", import.meta.url)
const document = `${JSON.stringify(openApiDocument(), null, 2)}\n`
const fail = (line: string) => {
  process.stderr.write(`${line}\n`)
  process.exitCode = 1
}

const Report = Schema.Struct({
  problems: Schema.Array(
    Schema.Struct({
      ruleId: Schema.String,
      severity: Schema.String,
      message: Schema.String,
      location: Schema.Array(Schema.Struct({ pointer: Schema.optionalKey(Schema.String) }))
    })
  )
})

if (!process.argv.includes("--check")) {
  writeFileSync(file, document)
} else if (readFileSync(file, "utf8") !== document) {
  fail("openapi.json differs from the API's definition: run `npm run generate` and commit it")
} else {
  // The committed document names a local server; a deployment serves it with its own address.
  const options = ["--extends", "recommended", "--max-problems", "1000", "--skip-rule", "no-server-example.com"]
  const report = redocly("lint", fileURLToPath(file), ...options)
  for (const { location, message, ruleId, severity } of Schema.decodeUnknownSync(Report)(report).problems) {
    fail(`openapi.json ${location[0]?.pointer ?? ""}: ${message} (${severity}, ${ruleId})`)
  }
}
