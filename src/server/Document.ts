import { existsSync, readFileSync } from "node:fs"
import { Predicate } from "effect"
import type { OpenApi } from "effect/http-api"

/** The document is beside the bundle in production, and at the repository's root otherwise. */
const [file = ""] = ["./openapi.json", "../../openapi.json"]
  .map((path) => new URL(path, import.meta.url))
  .filter((url) => existsSync(url))

/**
 * The committed OpenAPI document. `scripts/openapi.ts` generates it from `src/api`. It is read where it is needed and not
 * kept, because it takes several megabytes as objects.
 */
const readCommitted = (): OpenApi.OpenAPISpec => JSON.parse(readFileSync(file, "utf8"))

/** The server of the committed document. */
const committedServer = "http://localhost:3000"

/** The committed document, with the public address of this server in its samples. */
const readFor = (appUrl: string): OpenApi.OpenAPISpec =>
  JSON.parse(readFileSync(file, "utf8").replaceAll(`\\"${committedServer}/`, `\\"${appUrl}/`))

/** The document as it is served: minified, with the public address of this server. */
export const documentAt = (appUrl: string): string => JSON.stringify({ ...readFor(appUrl), servers: [{ url: appUrl }] })

/** The document without a server: the reference page asks the one that it came from. */
export const documentOfPage = (appUrl: string): OpenApi.OpenAPISpec => ({ ...readFor(appUrl), servers: [{ url: "/" }] })

const headersIn = (node: unknown): ReadonlyArray<string> => {
  if (typeof node !== "object" || node === null) return []
  const own = "headers" in node && "description" in node && Predicate.isObject(node.headers) ? Object.keys(node.headers) : []
  return [...own, ...Object.values(node).flatMap(headersIn)]
}

/** The names of the headers that the document names for responses, and of those that every response has. */
export const namedHeaders = (): ReadonlyArray<string> => {
  const { components, paths } = readCommitted()
  return [...new Set([...headersIn(paths), ...headersIn(components), "X-Request-Id"].map((name) => name.toLowerCase()))].sort()
}
