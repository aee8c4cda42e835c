import { staleFiles, writeFiles } from "./postman/Files.ts"

/** Writes the Postman collection from openapi.json and its overlay; with `--check`, fails when the committed one differs. */
if (!process.argv.includes("--check")) {
  writeFiles()
} else if (staleFiles().length > 0) {
  process.stderr.write(`${staleFiles().join(", ")}: not what openapi.json makes: run \`npm run generate\` and commit it\n`)
  process.exit(1)
}
