import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiScalar, OpenApi } from "effect/http-api"
import { documentText } from "./Document.ts"
import { pageHeaders } from "./SecurityHeaders.ts"

const decoder = new TextDecoder()

/** The page is the same for everybody, and megabytes long: its hashes are made once. */
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

/** Nothing of the reference is fetched from elsewhere, told to somebody, or a way to its makers' services. */
const reference = {
  withDefaultFonts: false,
  telemetry: false,
  showDeveloperTools: "never",
  hideClientButton: true,
  authentication: { preferredSecurityScheme: "bearer" }
}

/** Scalar takes an API; this one stands for the committed document, read when the page is first asked for. */
const Committed = HttpApi.make("committed").annotate(OpenApi.Transform, () => JSON.parse(documentText))

/** The API reference, with its script in the page, so that it works without the internet. */
export const Docs = HttpApiScalar.layer(Committed, {
  path: "/docs",
  scalar: reference
}).pipe(Layer.provide(withPolicy))
