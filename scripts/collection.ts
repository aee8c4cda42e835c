import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { faultsOf, makeFiles } from "./postman/Collection.ts"
import { readOpenApi } from "./postman/OpenApi.ts"

/** Writes the Postman collection from openapi.json and the table of requests; with `--check`, fails when the committed one differs. */
const openApi = readOpenApi()
const faults = faultsOf(openApi)
for (const fault of faults) process.stderr.write(`scripts/postman/requests.ts does not fit openapi.json: ${fault}\n`)
if (faults.length > 0) process.exitCode = 1

for (const [file, content] of faults.length > 0 ? [] : makeFiles(openApi)) {
  const place = new URL(`../${file}`, import.meta.url)
  if (!process.argv.includes("--check")) writeFileSync(place, content)
  else if (!existsSync(place) || readFileSync(place, "utf8") !== content) {
    process.stderr.write(`${file}: not what openapi.json makes: run \`npm run generate\` and commit it\n`)
    process.exitCode = 1
  }
}
