import { IncomingMessage } from "node:http"
import { ByteSize, Context, Effect } from "effect"
import { HttpIncomingMessage, type HttpServerError, HttpServerRequest } from "effect/http"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { BadJson, RequestTimeout, Unavailable, UnsupportedMediaType } from "../api/Problems.ts"

/** The milliseconds that a JSON body may take to arrive, also where it may be large, and how deep it may nest. */
const receiveMillis = { usual: 10_000, large: 60_000 }
const large = ByteSize.mebibytes(1)
const maximumDepth = 32
/** Milliseconds in which most bodies have come, with their head or right behind it. */
const promptMillis = 50
/** Header lines of a request; browsers send some twenty. */
const maximumHeaders = 100

const decoder = new TextDecoder("utf-8", { fatal: true })

/**
 * A path that another server could read differently: the router takes what follows a semicolon for a query, and two slashes
 * for one, so a proxy's rule for a path would not hold for it.
 */
export const isAmbiguousPath = (url: string): boolean => {
  const query = url.indexOf("?")
  return !url.startsWith("/") || /;|\/\//.test(query === -1 ? url : url.slice(0, query))
}

/**
 * RFC 9112, 3.2: one Host. With two, two proxies could disagree about whose request it is. HTTP/1.0, which some
 * probes of load balancers still speak, knows none.
 */
export const hasOneHost = ({ source }: { readonly source: object }): boolean => {
  if (!(source instanceof IncomingMessage)) return true
  let hosts = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    const name = source.rawHeaders[index]
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++
  }
  return hosts === 1 || (hosts === 0 && source.httpVersion === "1.0")
}

export const hasTooManyHeaders = ({ source }: { readonly source: object }): boolean =>
  source instanceof IncomingMessage && source.rawHeaders.length > 2 * maximumHeaders

/**
 * The bytes of a body. One that does not come with its head gives the working slot back, and in the end is given up; so is
 * one that has to make way for other bodies. The reading itself is not interrupted, which would close the connection before
 * the response: it ends with the body, or with the connection. Callbacks instead of a race of effects, because almost every
 * body is there immediately.
 */
const arrival = (
  request: HttpServerRequest.HttpServerRequest,
  maximum: ByteSize.ByteSize
): Effect.Effect<ArrayBuffer, HttpServerError.HttpServerError | RequestTimeout> =>
  Effect.contextWith((context) =>
    Effect.callback((resume) => {
      const slot = Context.get(context, CurrentSlot)
      const giveUp = () => {
        clearTimeout(timer)
        resume(Effect.fail(new RequestTimeout()))
      }
      const makeWay = () => {
        timer = setTimeout(giveUp, maximum > large ? receiveMillis.large : receiveMillis.usual)
        slot?.receive(giveUp)
      }
      let timer = setTimeout(makeWay, slot?.hasManyBodies() === true ? 0 : promptMillis)
      const reading = Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, maximum)
      Effect.runForkWith(context)(reading).addObserver((exit) => {
        clearTimeout(timer)
        resume(exit)
      })
      return Effect.sync(() => clearTimeout(timer))
    })
  )

/** What a body of a route may have. */
export interface BodyLimits {
  readonly maximumBody: ByteSize.ByteSize
  readonly maximumValues?: number | undefined
}

/** The body of a request that sends JSON. It is the client who decides how long it takes, but not at others' cost. */
export const receive = Effect.fnUntraced(function* (
  request: HttpServerRequest.HttpServerRequest,
  { maximumBody, maximumValues = Infinity }: BodyLimits
) {
  const encoding = request.headers["content-encoding"]
  if (encoding !== undefined && encoding !== "identity") return yield* new UnsupportedMediaType()
  const body = new Uint8Array(yield* arrival(request, maximumBody))
  const slot = yield* CurrentSlot
  if (slot !== undefined && !(yield* slot.resume)) return yield* Unavailable.because("overloaded")
  const fault = faultOf(body, maximumValues)
  return fault === undefined ? body : yield* new BadJson({ detail: fault })
})

export const isJson = (mediaType: string): boolean => /^application\/json\s*(?:;|$)/i.test(mediaType)

/** For an operation that reads no body: what is sent all the same keeps the rules of one that is read. */
export const rejectUnexpectedBody = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  const { "content-length": length = "0", "content-type": mediaType, "transfer-encoding": coding } = request.headers
  if (length === "0" && coding === undefined) return
  if (mediaType !== undefined && !isJson(mediaType)) return yield* Effect.die(new UnsupportedMediaType())
  yield* Effect.orDie(request.text)
})

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace, comma] = Buffer.from('"\\[]{},')

/**
 * What is wrong with a body before it is parsed: its arrays and objects nest deeper than those of any body of ours, or it has
 * more values than its route takes. Looks at bytes, and calls nothing for each level.
 */
const faultOf = (body: Uint8Array, maximumValues: number): string | undefined => {
  let depth = 0
  let values = 1
  let isInString = false
  for (let index = 0; index < body.length; index++) {
    const byte = body[index]
    if (isInString) {
      if (byte === backslash) index++
      else if (byte === quote) isInString = false
    } else if (byte === quote) isInString = true
    else if (byte === openBracket || byte === openBrace) {
      if (++depth > maximumDepth) return `The body nests deeper than ${maximumDepth} levels`
      values++
    } else if (byte === closeBracket || byte === closeBrace) depth--
    else if (byte === comma) values++
  }
  return values > maximumValues ? `The body has more than ${maximumValues} values` : undefined
}

/**
 * The request with a body that is read when a handler asks for it, and not before: so an unknown route is 404
 * and a missing token 401, whatever was sent. Refuses what the platform lets through: compressed bodies,
 * another charset, bytes that are not UTF-8 (they would become U+FFFD). An empty body is an empty object. `received` runs when
 * the bytes have come, before they are decoded.
 */
export const withCheckedBody = (
  request: HttpServerRequest.HttpServerRequest,
  limits: BodyLimits,
  received: Effect.Effect<void, Unavailable> = Effect.void
): HttpServerRequest.HttpServerRequest => {
  const text = Effect.gen(function* () {
    const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(request.headers["content-type"] ?? "")?.[1]
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) return yield* new UnsupportedMediaType()
    const bytes = yield* receive(request, limits)
    yield* received
    return yield* Effect.try({ try: () => parseable(decoder.decode(bytes)), catch: () => new BadJson() })
  })
  return Object.defineProperty(request, "text", { value: text })
}

/** The text when it is JSON; the schema then reads it again, which costs less than a second error path. */
const parseable = (text: string): string => {
  if (text.trim() === "") return "{}"
  JSON.parse(text)
  return text
}
