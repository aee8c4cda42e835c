import { createHash } from "node:crypto"
import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiScalar, OpenApi } from "effect/http-api"
import { Api } from "../Api.ts"
import { openApiDocument } from "./OpenApiDocument.ts"

const decoder = new TextDecoder()

/** The page's own scripts, by their hashes: whatever else gets into it does not run. */
const scriptHashes = (page: string): ReadonlyArray<string> =>
  [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, source = ""]) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  )

/** Scripts of the page alone, styles it makes as it goes, requests to this server, and nothing from elsewhere. */
const policyOf = (page: string): string =>
  [
    "default-src 'none'",
    `script-src ${scriptHashes(page).join(" ")}`,
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")

const pageHeaders = (page: string): Readonly<Record<string, string>> => ({
  "content-security-policy": policyOf(page),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
})

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

/** The reference to the same document, with its script in the page: it works without the internet. */
export const Docs = HttpApiScalar.layer(Api.annotate(OpenApi.Transform, openApiDocument), {
  path: "/docs",
  scalar: reference
}).pipe(Layer.provide(withPolicy))
