import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { documentOfPage } from "./Document.ts"
import { pageHeaders } from "./SecurityHeaders.ts"

const decoder = new TextDecoder()

/** No foreign fonts, no telemetry, no links to Scalar's own services. */
const scalar = {
  withDefaultFonts: false,
  telemetry: false,
  showDeveloperTools: "never",
  hideClientButton: true,
  authentication: { preferredSecurityScheme: "bearer" }
}

/** Scalar takes an API, not a document: this one is transformed into the committed document. */
const Committed = HttpApi.make("committed").annotate(OpenApi.Transform, () => ({ ...documentOfPage() }))

/** The page with a CSP of its own. Its script is inline, so that it works offline. */
const render = Effect.gen(function* () {
  const page = yield* HttpRouter.toHttpEffect(HttpApiScalar.layer(Committed, { path: "/docs", scalar }))
  const request = HttpServerRequest.fromWeb(new Request("http://localhost/docs"))
  const response = yield* Effect.provideService(page, HttpServerRequest.HttpServerRequest, request)
  if (response.body._tag !== "Uint8Array") return response
  return HttpServerResponse.setHeaders(response, pageHeaders(decoder.decode(response.body.body)))
})

/** The API reference. It is made at the first request, because the script takes megabytes of memory. */
export const Docs = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const page = yield* Effect.cached(Effect.uninterruptible(Effect.scoped(render)))
    yield* router.add("GET", "/docs", page)
  })
)
