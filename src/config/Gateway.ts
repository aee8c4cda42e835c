import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { fail, optionalSecret, url } from "./Reading.ts"
import { isKnownSecret } from "./Secrets.ts"

/** A service of the operator's that gets signed posts. */
export interface Gateway {
  /** Redacted, because a gateway's URL may contain a token. */
  readonly url: Redacted.Redacted
  /** The key of the signatures, used as it is written (not base64). */
  readonly secret: Redacted.Redacted
}

/** The gateway with this URL, whose secret is required. */
export const gatewayAt = Effect.fnUntraced(function* (
  environment: Environment,
  target: Redacted.Redacted,
  urlName: "OTP_WEBHOOK_URL" | "MODERATION_URL",
  secretName: "OTP_WEBHOOK_SECRET" | "MODERATION_SECRET"
) {
  const address = Redacted.value(target)
  yield* url(urlName, address, environment === "production" ? ["https:"] : ["https:", "http:"])
  const { password, username } = new URL(address)
  if (username !== "" || password !== "") return yield* fail(urlName, "must not contain a user name or a password")
  const secret = yield* optionalSecret(secretName)
  if (secret === undefined) return yield* fail(secretName, `is required with ${urlName}`)
  if (Buffer.byteLength(Redacted.value(secret)) < 32) return yield* fail(secretName, "must have at least 32 bytes")
  if (isKnownSecret(Redacted.value(secret))) return yield* fail(secretName, "is a well-known secret")
  return { url: target, secret }
})
