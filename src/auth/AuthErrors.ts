import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem } from "../Problem.ts"

const retryAfter = { retryAfter: Schema.Int.annotate({ description: "Seconds until it is worth trying again." }) }

export class PhoneTaken extends HttpApiError.Problem<PhoneTaken>()(
  "PhoneTaken",
  ...problem("phone_taken", 409, "An active user has this number")
) {}

export class OtpInvalid extends HttpApiError.Problem<OtpInvalid>()(
  "OtpInvalid",
  ...problem("otp_invalid", 400, "The code is wrong, used, superseded or expired")
) {}

export class OtpAttemptsExceeded extends HttpApiError.Problem<OtpAttemptsExceeded>()(
  "OtpAttemptsExceeded",
  ...problem("otp_attempts_exceeded", 429, "Too many wrong codes; ask for a new one", retryAfter)
) {}

export class OtpCooldown extends HttpApiError.Problem<OtpCooldown>()(
  "OtpCooldown",
  ...problem("otp_cooldown", 429, "A code was sent a moment ago", retryAfter)
) {}

export class OtpSendLimited extends HttpApiError.Problem<OtpSendLimited>()(
  "OtpSendLimited",
  ...problem("otp_send_limited", 429, "Too many codes were sent to this number", retryAfter)
) {}

export class DeliveryFailed extends HttpApiError.Problem<DeliveryFailed>()(
  "DeliveryFailed",
  ...problem("delivery_failed", 503, "The code could not be delivered", retryAfter)
) {}

const unauthenticated = {
  unauthenticated: "An access token is needed",
  token_invalid: "The access token is not valid",
  token_expired: "The access token has expired",
  session_revoked: "The session has ended"
}

/** Every 401 of a protected route; the server adds `WWW-Authenticate` (RFC 6750). */
export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: "urn:problem-type:unauthenticated", status: 401, title: "Not authenticated" },
  {
    detail: Schema.String,
    code: Schema.Literals(["unauthenticated", "token_invalid", "token_expired", "session_revoked"]),
    requestId: Schema.optionalKey(Schema.String)
  }
) {
  static readonly because = (code: keyof typeof unauthenticated) =>
    new Unauthenticated({ code, detail: unauthenticated[code] })
}
