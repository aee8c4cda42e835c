import { existsSync, globSync, readFileSync } from "node:fs"

/** Writes every generated file and says which ones changed; with `--check`, fails when a committed one differs. */
const isCheck = process.argv.includes("--check")
const contents = () =>
  new Map(
    [".env.example", "openapi.json", "client/src/contract.ts", "docs/settings.md", ...globSync("postman/*.json")].map((file) => [
      file,
      existsSync(file) ? readFileSync(file, "utf8") : ""
    ])
  )

const before = contents()
await import("./openapi.ts")
await import("./clientContract.ts")
await import("./settings.ts")
await import("./envExample.ts")
await import("./collection.ts")
if (!isCheck) {
  for (const [file, content] of contents()) {
    process.stdout.write(`${file}: ${before.get(file) === content ? "unchanged" : "written"}\n`)
  }
}
