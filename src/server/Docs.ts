import { Effect } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { AppConfig } from "../config/Settings.ts"
import { constantPage } from "./ConstantPage.ts"
import { documentOfPage } from "./Document.ts"
import { pageHeaders } from "./SecurityHeaders.ts"

const decoder = new TextDecoder()

/** No foreign fonts, no telemetry, no links to Scalar's own services. */
const scalar = {
  withDefaultFonts: false,
  telemetry: false,
  showDeveloperTools: "never",
  hideClientButton: true,
  authentication: { preferredSecurityScheme: "bearer" },
  // On a phone the page would scroll sideways.
  customCss: "html, body { overflow-x: clip }"
}

/** Scalar takes an API, not a document: this one is transformed into the committed document. */
const committedAt = (appUrl: string) =>
  HttpApi.make("committed").annotate(OpenApi.Transform, () => ({ ...documentOfPage(appUrl) }))

/** The page with a CSP of its own. Its script is inline, so that it works offline. */
const render = Effect.gen(function* () {
  const { appUrl } = yield* AppConfig
  const page = yield* HttpRouter.toHttpEffect(HttpApiScalar.layer(committedAt(appUrl), { path: "/docs", scalar }))
  const request = HttpServerRequest.fromWeb(new Request("http://localhost/docs"))
  const response = yield* Effect.provideService(page, HttpServerRequest.HttpServerRequest, request)
  if (response.body._tag !== "Uint8Array") return response
  const html = decoder
    .decode(response.body.body)
    .replace("<html>", '<html lang="en">')
    // Without an icon, browsers ask for /favicon.ico.
    .replace("<head>", '<head><link rel="icon" href="data:,">')
    // The introduction is in the page already, and long.
    .replaceAll(/<meta name="(?:og:)?description"[^>]*>/g, "")
  return HttpServerResponse.html(html).pipe(HttpServerResponse.setHeaders(pageHeaders(html)))
})

/** The API reference. It is made at the first request, because the script takes megabytes of memory. */
export const Docs = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const page = yield* Effect.cached(Effect.map(Effect.uninterruptible(Effect.scoped(render)), constantPage))
    yield* router.add("GET", "/docs", Effect.flatten(page))
  })
)
