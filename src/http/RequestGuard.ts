import { IncomingMessage } from "node:http"
import { ByteSize, Effect, Fiber } from "effect"
import { HttpIncomingMessage, type HttpServerRequest } from "effect/http"
import { CurrentPlace, type Place } from "../Place.ts"
import { BadJson, RequestTimeout, Unavailable, UnsupportedMediaType } from "./ProblemsApi.ts"

/** A JSON body's largest size, how long it may take to arrive, and how deep it may nest. */
const maximumBody = ByteSize.kibibytes(256)
const receiveTimeout = "10 seconds"
const maximumDepth = 32
/** Milliseconds in which most bodies have come, with their head or right behind it. */
const promptMillis = 50
/** Header lines of a request; browsers send some twenty. */
const maximumHeaders = 100

const decoder = new TextDecoder("utf-8", { fatal: true })

/** `//`, dot segments (plain or escaped) and an escaped NUL: nothing of ours is there. */
const oddPath = /\/\/|\/(?:\.|%2e){1,2}(?:\/|$)|%00/i

export const isOddPath = (url: string): boolean => {
  const query = url.indexOf("?")
  return !url.startsWith("/") || oddPath.test(query === -1 ? url : url.slice(0, query))
}

/**
 * RFC 9112, 3.2: one Host. With two, two proxies could disagree about whose request it is. HTTP/1.0, which some
 * probes of load balancers still speak, knows none.
 */
export const hasOneHost = ({ source }: HttpServerRequest.HttpServerRequest): boolean => {
  if (!(source instanceof IncomingMessage)) return true
  let hosts = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    if (source.rawHeaders[index]?.toLowerCase() === "host") hosts++
  }
  return hosts === 1 || (hosts === 0 && source.httpVersion === "1.0")
}

export const hasTooManyHeaders = ({ source }: HttpServerRequest.HttpServerRequest): boolean =>
  source instanceof IncomingMessage && source.rawHeaders.length > 2 * maximumHeaders

/** After a while without its body a request gives its working place back; ends only when there is no other to have. */
const makeWay = (place: Place): Effect.Effect<never, Unavailable> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => {
      if (!place.move("receiving")) resume(Effect.fail(Unavailable.because("overloaded")))
    }, promptMillis)
    return Effect.sync(() => clearTimeout(timer))
  })

/** The bytes of a body of JSON, as they came. It is the client who decides how long they take, but not at others' cost. */
export const receive = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, maximum: ByteSize.ByteSize) {
  const encoding = request.headers["content-encoding"]
  if (encoding !== undefined && encoding !== "identity") return yield* new UnsupportedMediaType()
  const place = yield* CurrentPlace
  // Not interrupted, which would cut the connection before the answer: it ends with the body or with the connection.
  const reading = yield* Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, maximum).pipe(
    Effect.forkDetach({ startImmediately: true })
  )
  const arrived = Effect.timeoutOrElse(Fiber.join(reading), {
    duration: receiveTimeout,
    orElse: () => Effect.fail(new RequestTimeout())
  })
  const body = new Uint8Array(yield* place === undefined ? arrived : Effect.raceFirst(arrived, makeWay(place)))
  if (place?.comeBack() === false) return yield* Unavailable.because("overloaded")
  return isTooDeep(body) ? yield* new BadJson({ detail: `The body nests deeper than ${maximumDepth} levels` }) : body
})

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = Buffer.from('"\\[]{}')

/** Whether arrays and objects nest deeper than any body of ours. Looks at bytes, and calls nothing for each level. */
const isTooDeep = (body: Uint8Array): boolean => {
  let depth = 0
  let isInString = false
  for (let index = 0; index < body.length; index++) {
    const byte = body[index]
    if (isInString) {
      if (byte === backslash) index++
      else if (byte === quote) isInString = false
    } else if (byte === quote) isInString = true
    else if (byte === openBracket || byte === openBrace) {
      if (++depth > maximumDepth) return true
    } else if (byte === closeBracket || byte === closeBrace) depth--
  }
  return false
}

/**
 * The request with a body that is read when a handler asks for it, and not before: so an unknown route is 404
 * and a missing token 401, whatever was sent. Refuses what the platform lets through: compressed bodies,
 * another charset, bytes that are not UTF-8 (they would become U+FFFD). An empty body is an empty object.
 */
export const guarded = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest => {
  const text = Effect.gen(function* () {
    const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(request.headers["content-type"] ?? "")?.[1]
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) return yield* new UnsupportedMediaType()
    const bytes = yield* receive(request, maximumBody)
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
