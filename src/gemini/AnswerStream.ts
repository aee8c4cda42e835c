import { Readable } from "node:stream"
import type { GenerateContentParameters, GoogleGenAI, HttpOptions } from "@google/genai"
import { Effect, Result, Stream } from "effect"
import { createParser } from "eventsource-parser"
import { request } from "undici"
import { type AnswerEvent, parseEvent } from "./AnswerEvent.ts"
import { isJson, makeEndOfJson } from "./BareJson.ts"
import { fromUnknown, GeminiError } from "./GeminiError.ts"
import { bodyWith, type SentBytes } from "./PromptFile.ts"

/** Characters of an error in mid-stream; a call with a longer one fails. */
const maximumBare = 65_536
/** Characters without the end of an event, which the parser keeps in memory; a call with more fails. */
const maximumEvent = 64 * 1_048_576

type Fetch = NonNullable<HttpOptions["fetch"]>

/**
 * Sends the request through the SDK, with the SDK's errors, but leaves the response's body to `readEvents`. The SDK
 * makes a `Response` of every event and tries to parse the raw text as JSON first: 93 µs of processor time an event
 * instead of 32 (500 answers at once, 20 events a second each).
 */
export const openEvents = (
  client: GoogleGenAI,
  parameters: GenerateContentParameters,
  options: {
    /** Files that the parameters name. */
    readonly files?: ReadonlyMap<string, SentBytes> | undefined
    /** Headers besides those of the SDK. */
    readonly headers?: Readonly<Record<string, string>> | undefined
    /** Is called for every piece of a body with files that is sent. */
    readonly onSent?: (() => void) | undefined
  } = {}
): Effect.Effect<Readable, GeminiError> =>
  Effect.callback((resume) => {
    const { files = new Map<string, SentBytes>(), onSent = () => {} } = options
    let isSent = false
    const fail = (cause: unknown) => resume(Effect.fail(isSent ? fromUnknown(cause) : refusedBySdk(cause)))
    const fetch: Fetch = (url, init) => {
      isSent = true
      const headers = new Headers(init?.headers)
      for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value)
      let body: string | Readable = String(init?.body)
      if (files.size > 0) {
        const streamed = bodyWith(body, files)
        headers.set("content-length", String(streamed.length))
        body = Readable.from(Stream.toAsyncIterable(Stream.tap(streamed.body, () => Effect.sync(onSent))), { objectMode: false })
      }
      return request(String(url), {
        method: "POST",
        headers,
        body,
        signal: init?.signal ?? null
      }).then(({ body, headers, statusCode }) => {
        if (statusCode === 200) {
          // It may be aborted before `readEvents` listens.
          body.on("error", () => {})
          resume(Effect.succeed(body))
          return new Response(null)
        }
        const type = String(headers["content-type"] ?? "")
        return body.text().then((text) => new Response(text, { status: statusCode, headers: { "content-type": type } }))
      })
    }
    // The SDK would continue an answer that was cut off, without regard to the lease and the count of attempts.
    const config = { ...parameters.config, httpOptions: { fetch }, automaticContinuation: false }
    client.models.generateContentStream({ ...parameters, config }).then(() => fail("an answer without a stream"), fail)
  })

/** The SDK sends no request with a model name such as `..`. */
const refusedBySdk = (cause: unknown) => new GeminiError({ kind: "misconfigured", detail: fromUnknown(cause).detail })

/** The connection broke, and did not end: what has come may be all. */
const connectionLost = (cause: unknown) => {
  const { detail, kind } = fromUnknown(cause)
  return new GeminiError({ kind, detail, isConnectionLost: true })
}

const tooLong = new GeminiError({ kind: "unavailable", detail: "an event is too long", maximumAttempts: 1 })

/**
 * Calls `onEvent` for every event until the body ends. A plain callback, because a thousand answers at once are twenty
 * thousand events a second. An error that Google sends in mid-stream fails as the SDK's error would.
 */
export const readEvents = (body: Readable, onEvent: (event: AnswerEvent) => void): Effect.Effect<void, GeminiError> =>
  Effect.callback((resume) => {
    let isOver = false
    const end = (result: Effect.Effect<void, GeminiError>) => {
      if (isOver) return
      isOver = true
      body.destroy()
      resume(result)
    }
    const handle = (data: string) => {
      unended = 0
      // Neither is an event of Google's: some gateways send them between the events, or after the last one.
      if (isOver || data === "" || data === "[DONE]") return
      const handled = Result.try({ try: () => onEvent(parseEvent(data)), catch: fromUnknown })
      if (Result.isFailure(handled)) end(Effect.fail(handled.failure))
    }
    const parser = createParser({ onEvent: ({ data }) => handle(data) })
    let unended = 0
    let isAtLineStart = true
    /** An error in mid-stream may also come as bare JSON between events, cut anywhere; no line of an event begins so. */
    let bare: { text: string; readonly endIn: (text: string) => number } | undefined
    /** Both read what they can of a text, and return the rest. */
    const readLines = (text: string): string => {
      const start = (isAtLineStart ? /(?:^\ufeff?|[\r\n])(?=[{[])/ : /[\r\n](?=[{[])/).exec(text)
      const events = start === null ? text : text.slice(0, start.index + start[0].length)
      isAtLineStart = start === null && /(?:[\r\n]|^\ufeff)$/.test(text)
      parser.feed(events)
      if (start !== null) bare = { text: "", endIn: makeEndOfJson() }
      return text.slice(events.length)
    }
    const readBare = (into: NonNullable<typeof bare>, text: string): string => {
      const length = into.endIn(text)
      into.text += length === -1 ? text : text.slice(0, length)
      if (length === -1 && into.text.length <= maximumBare) return ""
      bare = undefined
      // The standard ignores a line that is not a field.
      if (length === -1 || isJson(into.text)) handle(into.text)
      return text.slice(length)
    }
    const read = (text: string) => {
      unended += text.length
      if (unended > maximumEvent) return end(Effect.fail(tooLong))
      let rest = text
      while (rest !== "" && !isOver) rest = bare === undefined ? readLines(rest) : readBare(bare, rest)
    }
    body.setEncoding("utf8")
    body.on("data", read)
    body.on("close", () => {
      if (bare !== undefined) handle(bare.text)
      end(Effect.void)
    })
    body.on("error", (cause) => end(Effect.fail(connectionLost(cause))))
    return Effect.sync(() => {
      isOver = true
      body.destroy()
    })
  })
