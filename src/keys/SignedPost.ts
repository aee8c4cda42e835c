import { createHmac } from "node:crypto"
import { Clock, Effect, Redacted } from "effect"
import type { Gateway } from "../config/Gateway.ts"

/** Bytes of a gateway's answer that are read, so that its connection can be used again. */
export const maximumAnswer = 16_384

/** Why a post has no usable answer. Only one that never reached the gateway is worth a second try at once. */
export interface PostFailure {
  readonly isUnreachable: boolean
  /** For the log: no URL and no text of the gateway's. */
  readonly detail: string
}

export const postFailure = (detail: string): PostFailure => ({ isUnreachable: false, detail })

/** No answer at all: a connection that was refused, or closed as we wrote to it. */
const unreachable = (cause: unknown): PostFailure => {
  const bottom = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const name = bottom instanceof Error ? bottom.name : "no error"
  const reason = bottom instanceof Error && "code" in bottom && typeof bottom.code === "string" ? bottom.code : name
  return { isUnreachable: name !== "TimeoutError" && name !== "AbortError", detail: `no answer (${reason})` }
}

/** The body, or undefined when it is longer than `maximumAnswer` or does not arrive. */
const readShort = (body: ReadableStream<Uint8Array> | null) =>
  Effect.gen(function* () {
    if (body === null) return Buffer.alloc(0)
    const reader = body.getReader()
    const chunks: Array<Uint8Array> = []
    let length = 0
    while (length <= maximumAnswer) {
      const { done, value } = yield* Effect.promise(() => reader.read())
      if (done) return Buffer.concat(chunks)
      chunks.push(value)
      length += value.length
    }
    yield* Effect.promise(() => reader.cancel())
    return undefined
  }).pipe(Effect.catchCause(() => Effect.undefined))

/** `t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe signs its webhooks. */
const sign = (secret: Redacted.Redacted, seconds: number, body: string): string =>
  `t=${seconds},v1=${createHmac("sha256", Redacted.value(secret)).update(`${seconds}.${body}`).digest("hex")}`

/**
 * Posts JSON to a gateway of the operator's, signed in the header `<name>-signature`, and returns its answer when that is
 * a 2xx. A redirect is not followed and is a failure like every other status. The signal ends the request and the answer.
 */
export const signedPost = Effect.fnUntraced(
  function* (
    { secret, url }: Gateway,
    message: {
      readonly name: string
      readonly content: unknown
      readonly headers?: Readonly<Record<string, string>> | undefined
      readonly signal: AbortSignal
    }
  ) {
    const body = JSON.stringify(message.content)
    const headers = {
      ...message.headers,
      "content-type": "application/json",
      [`${message.name}-signature`]: sign(secret, Math.floor((yield* Clock.currentTimeMillis) / 1000), body)
    }
    const response = yield* Effect.tryPromise({
      try: () => fetch(Redacted.value(url), { method: "POST", redirect: "manual", headers, body, signal: message.signal }),
      catch: unreachable
    })
    const answer = yield* readShort(response.body)
    return response.ok ? answer : yield* Effect.fail(postFailure(`the answer was ${response.status}`))
  },
  // A connection that was kept open may be closed by the other side at the very moment it is used.
  Effect.retry({ times: 1, while: ({ isUnreachable }) => isUnreachable })
)
