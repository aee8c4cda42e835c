import { Effect } from "effect"
import type { Gateway } from "../config/Gateway.ts"
import { signedPost } from "../keys/SignedPost.ts"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { traceHeaders } from "../ops/Tracing.ts"
import { DeliveryFailed } from "../api/auth/AuthErrors.ts"
import type { Code } from "./Code.ts"

/** Milliseconds a delivery may take in all: connecting, a second try, the answer with its body. */
const deadline = 5_000
/** Deliveries under way in one process; with more, a slow gateway would take its sockets and memory. */
const atOnce = 32
/** Seconds after which it is worth asking for another code. */
const retryAfter = 5

/**
 * Posts codes to a gateway of the operator's, which brings them to their numbers. Any 2xx means that it will; a
 * redirect is followed nowhere and is a failure like every other status. The idempotency key names the challenge: of
 * two posts with the same one, the second is a repetition.
 */
export const makeCodeWebhook = (gateway: Gateway) => {
  let underWay = 0

  return Effect.fn("CodeWebhook.deliver")(
    function* (code: Code) {
      if (underWay >= atOnce) return yield* Effect.fail({ detail: `${atOnce} deliveries are under way` })
      underWay++
      const posted = signedPost(gateway, {
        name: "otp",
        content: code,
        headers: { ...(yield* traceHeaders), "idempotency-key": code.challengeId },
        signal: AbortSignal.timeout(deadline)
      })
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
