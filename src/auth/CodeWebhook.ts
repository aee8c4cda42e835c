import { createHmac } from "node:crypto"
import { Clock, Effect, Redacted } from "effect"
import type { OtpWebhook } from "../config/Credentials.ts"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { DeliveryFailed } from "../api/auth/AuthErrors.ts"
import type { Code } from "./Code.ts"

/** Milliseconds a delivery may take in all: connecting, a second try, the answer with its body. */
const deadline = 5_000
/** Deliveries under way in one process; with more, a slow gateway would take its sockets and memory. */
const atOnce = 32
/** Bytes of an answer that are read, so that its connection can be used again. Nobody looks at them. */
const maximumAnswer = 16_384
/** Seconds after which it is worth asking for another code. */
const retryAfter = 5

/** No answer at all: a connection that was refused, or closed as we wrote to it. */
const unreachable = (cause: unknown) => {
  const bottom = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const name = bottom instanceof Error ? bottom.name : "no error"
  const reason = bottom instanceof Error && "code" in bottom && typeof bottom.code === "string" ? bottom.code : name
  return { isUnreachable: name !== "TimeoutError", detail: `no answer (${reason})` }
}
const refused = (status: number) => ({ isUnreachable: false, detail: `the answer was ${status}` })

/** Reads an answer that is short and comes soon, and lets go of any other: its status has said everything. */
const discard = (body: ReadableStream<Uint8Array> | null) =>
  Effect.gen(function* () {
    if (body === null) return
    const reader = body.getReader()
    let length = 0
    while (length <= maximumAnswer) {
      const { done, value } = yield* Effect.promise(() => reader.read())
      if (done) return
      length += value.length
    }
    yield* Effect.promise(() => reader.cancel())
  }).pipe(Effect.ignoreCause)

/** `t=<Unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, as Stripe signs its webhooks. */
const sign = (secret: Redacted.Redacted, seconds: number, body: string): string =>
  `t=${seconds},v1=${createHmac("sha256", Redacted.value(secret)).update(`${seconds}.${body}`).digest("hex")}`

/**
 * Posts codes to a gateway of the operator's, which brings them to their numbers. Any 2xx means that it will; a
 * redirect is followed nowhere and is a failure like every other status. The idempotency key names the challenge: of
 * two posts with the same one, the second is a repetition.
 */
export const makeCodeWebhook = ({ secret, url }: OtpWebhook) => {
  let underWay = 0

  const post = Effect.fnUntraced(function* (code: Code, signal: AbortSignal) {
    const body = JSON.stringify(code)
    const headers = {
      "content-type": "application/json",
      "idempotency-key": code.challengeId,
      "otp-signature": sign(secret, Math.floor((yield* Clock.currentTimeMillis) / 1000), body)
    }
    const response = yield* Effect.tryPromise({
      try: () => fetch(Redacted.value(url), { method: "POST", redirect: "manual", headers, body, signal }),
      catch: unreachable
    })
    yield* discard(response.body)
    if (!response.ok) return yield* Effect.fail(refused(response.status))
  })

  return Effect.fn("CodeWebhook.deliver")(
    function* (code: Code) {
      if (underWay >= atOnce) return yield* Effect.fail({ detail: `${atOnce} deliveries are under way` })
      underWay++
      const signal = AbortSignal.timeout(deadline)
      // A connection that was kept open may be closed by the other side at the very moment it is used.
      const posted = Effect.retry(post(code, signal), { times: 1, while: ({ isUnreachable }) => isUnreachable })
      yield* withoutSlot(posted, { kind: "delivering", onFull: Effect.fail({ detail: "too many requests wait" }) }).pipe(
        Effect.ensuring(Effect.sync(() => void underWay--))
      )
    },
    Effect.catch(({ detail }) =>
      Effect.andThen(
        Effect.logWarning(`A code could not be delivered: ${detail}`),
        Effect.fail(new DeliveryFailed({ retryAfter }))
      )
    ),
    // Cut off in the middle, nobody would know whether the code was sent. The deadline bounds it.
    Effect.uninterruptible
  )
}
