import { Effect, Schema } from "effect"
import { BillingUnavailable } from "../api/billing/BillingErrors.ts"

/**
 * A call that failed. `missing`: the object does not exist. `refused`: the request is wrong, and repeating it would not
 * help. `unavailable`: the network, a rate limit, a 5xx, or an answer that does not decode.
 */
export class StripeFailure extends Schema.TaggedError<StripeFailure>()("StripeFailure", {
  kind: Schema.Literals(["missing", "refused", "unavailable"]),
  detail: Schema.String
}) {
  override get message() {
    return `Stripe ${this.kind}: ${this.detail}`
  }
}

/** What we read of an error of the SDK. By its shape, because the SDK's classes are loaded with the first call. */
const SdkError = Schema.Struct({
  type: Schema.String,
  code: Schema.optional(Schema.String),
  statusCode: Schema.optional(Schema.Number),
  requestId: Schema.optional(Schema.String)
})
const isSdkError = Schema.is(SdkError)

export const isRateLimit = (cause: unknown): boolean => isSdkError(cause) && cause.type === "StripeRateLimitError"

/** The failure that an error of the SDK means. */
export const fromUnknown = (cause: unknown): StripeFailure => {
  if (!isSdkError(cause)) return new StripeFailure({ kind: "unavailable", detail: String(cause) })
  // The message of an authentication error quotes the key.
  const detail = `${cause.type} ${cause.code ?? ""} ${cause.statusCode ?? ""} ${cause.requestId ?? ""}`.trim()
  if (cause.code === "resource_missing") return new StripeFailure({ kind: "missing", detail })
  const isRefused = cause.statusCode === 400 || cause.statusCode === 404
  return new StripeFailure({ kind: isRefused ? "refused" : "unavailable", detail })
}

/** Answers a request that needs Stripe with 503 and `Retry-After`, whatever the failure was. */
export const unavailable = (failure: StripeFailure) =>
  Effect.andThen(Effect.logWarning("A call to Stripe failed", failure), Effect.fail(BillingUnavailable.soon()))

/** The call's answer; undefined when it fails in this way. */
export const undefinedIf = <A, R>(
  kind: StripeFailure["kind"],
  call: Effect.Effect<A, StripeFailure, R>
): Effect.Effect<A | undefined, StripeFailure, R> =>
  Effect.catchIf(
    call,
    (failure) => failure.kind === kind,
    () => Effect.undefined
  )

export const undefinedIfMissing = <A, R>(call: Effect.Effect<A, StripeFailure, R>) => undefinedIf("missing", call)
