import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { documentOfPage } from "./Document.ts"
import { pageHeaders } from "./SecurityHeaders.ts"

const decoder = new TextDecoder()

/** Adds the page's own CSP. The page is constant and megabytes long, so its hashes are computed once. */
const withPolicy = HttpRouter.middleware(
  Effect.sync(() => {
    let headers: Readonly<Record<string, string>> | undefined
    return (httpEffect) =>
      Effect.map(httpEffect, (response) => {
        if (response.body._tag !== "Uint8Array") return response
        headers ??= pageHeaders(decoder.decode(response.body.body))
        return HttpServerResponse.setHeaders(response, headers)
      })
  })
).layer

/** No foreign fonts, no telemetry, no links to Scalar's own services. */
const scalar = {
  withDefaultFonts: false,
  telemetry: false,
  showDeveloperTools: "never",
  hideClientButton: true,
  authentication: { preferredSecurityScheme: "bearer" }
}

/** Scalar takes an API, not a document: this one is transformed into the committed document at the first request. */
const Committed = HttpApi.make("committed").annotate(OpenApi.Transform, () => ({ ...documentOfPage() }))

/** The API reference. Its script is inline, so that it works offline. */
export const Docs = HttpApiScalar.layer(Committed, { path: "/docs", scalar }).pipe(Layer.provide(withPolicy))
