import { promisify } from "node:util"
import { constants, gzip as gzipCallback } from "node:zlib"
import { Effect } from "effect"
import { HttpPlatform, HttpServerRequest, HttpServerResponse } from "effect/http"
import { gzipOf, gzipTag } from "../http/Precompressed.ts"
import type { Route } from "./Routes.ts"

/** Bytes from which a body is compressed. Below the second one, compressing a body for one user costs more than it saves. */
const minimumBytes = 1_024
const minimumPrivateBytes = 8_192
/** Fast, for a body that is compressed for one response. */
const level = 1

const compressible = /^(?:application\/(?:problem\+)?json|image\/svg\+xml|text\/(?!event-stream))/i

/** RFC 9110, 12.5.3: whether a coding is acceptable; `identity` is sent otherwise, even to a client that refuses it. */
export const accepts = (coding: string, header: string | undefined): boolean => {
  const weights = new Map<string, number>()
  for (const member of (header ?? "").toLowerCase().split(",")) {
    const [name = "", weight] = member.split(";").map((part) => part.trim())
    weights.set(name, weight === undefined ? 1 : Number(/^q\s*=\s*([\d.]+)$/.exec(weight)?.[1] ?? 0))
  }
  return (weights.get(coding) ?? weights.get("*") ?? 0) > 0
}

/** Whether the body of a response with these headers depends on `Accept-Encoding`. */
export const variesByEncoding = (
  route: Route,
  { headers, status }: { readonly headers: Readonly<Record<string, string | undefined>>; readonly status: number }
): boolean =>
  route.isCompressible &&
  status !== 204 &&
  headers["content-encoding"] === undefined &&
  !/\bno-transform\b/i.test(headers["cache-control"] ?? "") &&
  (status === 304 || compressible.test(headers["content-type"] ?? ""))

/** Whether a body of this length is compressed for a request; `isKept` when its compressed form is kept (`Precompressed.ts`). */
export const isCompressedFor = (
  { headers, method }: { readonly headers: Readonly<Record<string, unknown>>; readonly method?: string | undefined },
  length: number,
  isKept: boolean
): boolean => {
  const minimum = headers["authorization"] === undefined || isKept ? minimumBytes : minimumPrivateBytes
  const accepted = headers["accept-encoding"]
  return length >= minimum && method !== "HEAD" && typeof accepted === "string" && accepts("gzip", accepted)
}

const gzip = promisify(gzipCallback)
const best = { level: constants.Z_BEST_COMPRESSION }

/**
 * Compresses responses for clients that accept gzip. A constant page is compressed once, a cached one when it is cached
 * (`Precompressed.ts`), everything else for its response, by threads of zlib. Never `/auth`: there are secrets beside what the
 * client sent, which the length of a compressed body would show bit by bit (BREACH).
 */
export const makeCompression = Effect.gen(function* () {
  const { compression } = yield* HttpPlatform.HttpPlatform
  const pages = new Map<Route, Promise<Uint8Array>>()

  /** The compressed body where it is kept. */
  const kept = ({ body }: HttpServerResponse.HttpServerResponse, route: Route) => {
    if (body._tag !== "Uint8Array") return undefined
    if (!route.isConstant) return gzipOf(body.body)
    const page = pages.get(route) ?? gzip(body.body, best)
    pages.set(route, page)
    return page
  }

  const compress = Effect.fnUntraced(function* (response: HttpServerResponse.HttpServerResponse, route: Route) {
    const { etag } = response.headers
    const known = kept(response, route)
    const compressed =
      known === undefined
        ? yield* compression.compressResponse(response, "gzip", { level })
        : HttpServerResponse.uint8Array(yield* Effect.promise(async () => known), {
            status: response.status,
            headers: { ...response.headers, "content-encoding": "gzip" }
          })
    return etag === undefined ? compressed : HttpServerResponse.setHeader(compressed, "etag", gzipTag(etag))
  })

  return (
    request: HttpServerRequest.HttpServerRequest,
    route: Route,
    response: HttpServerResponse.HttpServerResponse
  ): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
    const { body } = response
    const length = body._tag === "Stream" ? Infinity : body._tag === "Uint8Array" ? body.contentLength : 0
    const isKept = body._tag === "Uint8Array" && gzipOf(body.body) !== undefined
    return isCompressedFor(request, length, isKept) ? compress(response, route) : Effect.succeed(response)
  }
})
