import { FindMyWay } from "effect/http"
import { HttpApi } from "effect/http-api"
import { Api } from "../api/Api.ts"

/** Routes outside the contract's definition: pages and the document itself. */
const pages = ["/", "/docs", "/openapi.json"]

/** The methods a path answers (for `Allow`), read off the API's definition; undefined when the path is unknown. */
export const allowedMethods: (url: string) => string | undefined = (() => {
  const methods = new Map<string, Set<string>>(pages.map((path) => [path, new Set(["GET", "HEAD"])]))
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const known = methods.get(endpoint.path) ?? new Set()
      methods.set(endpoint.path, known.add(endpoint.method))
      if (endpoint.method === "GET") known.add("HEAD")
    }
  })
  const router = FindMyWay.make<string>({ ignoreTrailingSlash: true, ignoreDuplicateSlashes: false })
  for (const [path, known] of methods) router.on("GET", path as `/${string}`, [...known].sort().join(", "))
  return (url) => router.find("GET", url)?.handler
})()
