import { IncomingMessage } from "node:http"
import { ByteSize, Effect } from "effect"
import { HttpIncomingMessage, type HttpServerRequest } from "effect/http"
import { BadJson, UnsupportedMediaType } from "./ProblemsApi.ts"

/** A JSON body's largest size. */
const maximumBody = ByteSize.kibibytes(256)

const decoder = new TextDecoder("utf-8", { fatal: true })

/** `//`, dot segments (plain or escaped) and an escaped NUL: nothing of ours is there. */
const oddPath = /\/\/|\/(?:\.|%2e){1,2}(?:\/|$)|%00/i

export const isOddPath = (url: string): boolean => {
  const query = url.indexOf("?")
  return !url.startsWith("/") || oddPath.test(query === -1 ? url : url.slice(0, query))
}

/** RFC 9112, 3.2: one Host. With two, two proxies could disagree about whose request it is. */
export const hasOneHost = (request: HttpServerRequest.HttpServerRequest): boolean => {
  const { source } = request
  if (!(source instanceof IncomingMessage)) return true
  let hosts = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    if (source.rawHeaders[index]?.toLowerCase() === "host") hosts++
  }
  return hosts === 1
}

/**
 * The request with a body that is read when a handler asks for it, and not before: so an unknown route is 404
 * and a missing token 401, whatever was sent. Refuses what the platform lets through: compressed bodies,
 * another charset, bytes that are not UTF-8 (they would become U+FFFD). An empty body is an empty object.
 */
export const guarded = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest => {
  const text = Effect.gen(function* () {
    const encoding = request.headers["content-encoding"]
    const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(request.headers["content-type"] ?? "")?.[1]
    if ((encoding !== undefined && encoding !== "identity") || (charset !== undefined && !/^utf-?8$/i.test(charset))) {
      return yield* new UnsupportedMediaType()
    }
    const bytes = yield* Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, maximumBody)
    return yield* Effect.try({ try: () => parseable(decoder.decode(bytes)), catch: () => new BadJson() })
  })
  return Object.create(request, { text: { value: text } }) as typeof request
}

/** The text when it is JSON; the schema then reads it again, which costs less than a second error path. */
const parseable = (text: string): string => {
  if (text.trim() === "") return "{}"
  JSON.parse(text)
  return text
}
