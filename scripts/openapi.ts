import { readFileSync, writeFileSync } from "node:fs"
import { openApiDocument } from "../src/http/OpenApiDocument.ts"

/** Writes openapi.json from the API's definition; with `--check`, fails when the committed one differs. */
const file = new URL("../openapi.json", import.meta.url)
const document = `${JSON.stringify(openApiDocument(), null, 2)}\n`

if (!process.argv.includes("--check")) {
  writeFileSync(file, document)
} else if (readFileSync(file, "utf8") !== document) {
  process.stderr.write("openapi.json is not what the API defines: run `npm run generate` and commit it\n")
  process.exit(1)
}
