import { Effect } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { entityTag, matchingTag } from "../http/EntityTags.ts"

/** A page that is the same for the life of the process: with an `ETag`, and 304 for a client that has it. */
export const constantPage = (page: HttpServerResponse.HttpServerResponse) => {
  if (page.body._tag !== "Uint8Array") return Effect.succeed(page)
  const tag = entityTag(page.body.body)
  const tagged = HttpServerResponse.setHeader(page, "etag", tag)
  return Effect.map(HttpServerRequest.HttpServerRequest, ({ headers }) => {
    const known = matchingTag(headers["if-none-match"], tag)
    // A browser replaces the headers that it has kept by those of a 304, the CSP included.
    return known === undefined ? tagged : HttpServerResponse.empty({ status: 304, headers: { ...page.headers, etag: known } })
  })
}
