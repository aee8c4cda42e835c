import { existsSync, readFileSync } from "node:fs"

/** The document is beside the bundle in production, and at the repository's root otherwise. */
const [file = ""] = ["./openapi.json", "../../openapi.json"]
  .map((path) => new URL(path, import.meta.url))
  .filter((url) => existsSync(url))

/** The committed OpenAPI document, minified. `scripts/openapi.ts` generates it from `src/api`. */
export const documentText: string = JSON.stringify(JSON.parse(readFileSync(file, "utf8")))
