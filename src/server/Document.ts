import { existsSync, readFileSync } from "node:fs"

/** Beside the bundle, or at the root of the sources. */
const [file = ""] = ["./openapi.json", "../../openapi.json"]
  .map((path) => new URL(path, import.meta.url))
  .filter((url) => existsSync(url))

/** The committed OpenAPI document, minified: what `scripts/openapi.ts` generates from the contract. */
export const documentText: string = JSON.stringify(JSON.parse(readFileSync(file, "utf8")))
