import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { join } from "node:path"
import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { NotFound } from "../api/Problems.ts"
import { AppConfig } from "../config/Settings.ts"
import { cameWithPrefix } from "../http/ApiPrefix.ts"
import { entityTag, matchingTag } from "../http/EntityTags.ts"
import { makePageFiles, type PageFile } from "./PageFiles.ts"
import { toResponse } from "./Problems.ts"
import { playgroundHeaders } from "./SecurityHeaders.ts"

/** The name of a file contains a hash of its content, so it never changes. */
const immutable = "public, max-age=31536000, immutable"

const encodingHeaders = ({ coding }: PageFile) => ({
  vary: "Accept-Encoding",
  ...(coding === undefined ? {} : { "content-encoding": coding })
})

const respond = ({ bytes, contentType }: PageFile, headers: Readonly<Record<string, string>>) =>
  HttpServerResponse.uint8Array(bytes, { contentType, headers })

const decoder = new TextDecoder()

/** The page for clients that reach the server only below `prefix`: its files are there, too. */
const withPrefix = (page: PageFile | undefined, prefix: string): PageFile | undefined => {
  if (page === undefined) return undefined
  const bytes = new TextEncoder().encode(decoder.decode(page.bytes).replaceAll(/(src|href)="\//g, `$1="${prefix}/`))
  return { ...page, bytes, etag: entityTag(bytes) }
}

const routes = Effect.fnUntraced(function* (router: HttpRouter.HttpRouter, folder: string) {
  const { apiPrefix, s3 } = yield* AppConfig
  const security = playgroundHeaders(s3?.endpoint)
  const rootFile = makePageFiles(folder)
  const asset = makePageFiles(join(folder, "assets"))
  const prefixed = apiPrefix === undefined ? undefined : withPrefix(rootFile("index.html", undefined), apiPrefix)

  const page = Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
    const isPrefixed = cameWithPrefix(NodeHttpServerRequest.toIncomingMessage(request))
    const file = isPrefixed ? prefixed : rootFile("index.html", request.headers["accept-encoding"])
    if (file === undefined) return HttpServerResponse.empty({ status: 404 })
    const headers = { ...security, "cache-control": "no-cache", etag: file.etag, vary: "Accept-Encoding" }
    const isKnown = matchingTag(request.headers["if-none-match"], file.etag) !== undefined
    // A browser replaces the headers that it has kept by those of a 304, the CSP included.
    return isKnown ? HttpServerResponse.empty({ status: 304, headers }) : respond(file, { ...headers, ...encodingHeaders(file) })
  })

  const file = Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const { name = "" } = yield* HttpRouter.params
    const found = asset(name, headers["accept-encoding"])
    if (found === undefined) return yield* toResponse(new NotFound())
    return respond(found, { ...encodingHeaders(found), "cache-control": immutable })
  })

  yield* router.add("GET", "/", page)
  yield* router.add("GET", "/assets/:name", file)
})

/** The playground at `/`; where it is off or not built, the way to the reference. */
export const Playground = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const { playground } = yield* AppConfig
    if (playground !== undefined) return yield* routes(router, playground)
    yield* router.add("GET", "/", HttpServerResponse.redirect("/docs"))
  })
)
