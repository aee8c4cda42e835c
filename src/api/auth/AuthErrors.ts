import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

export class PhoneTaken extends HttpApiError.Problem<PhoneTaken>()(
  "PhoneTaken",
  ...problem("phone_taken", 409, "The number belongs to an active user")
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
  ...problem("otp_cooldown", 429, "A code was sent recently", retryAfter)
) {}

export class OtpSendLimited extends HttpApiError.Problem<OtpSendLimited>()(
  "OtpSendLimited",
  ...problem("otp_send_limited", 429, "Too many codes were sent to this number", retryAfter)
) {}

export class CountryUnsupported extends HttpApiError.Problem<CountryUnsupported>()(
  "CountryUnsupported",
  ...problem("country_unsupported", 422, "No codes are sent to numbers of this country")
) {}

export class DeliveryFailed extends HttpApiError.Problem<DeliveryFailed>()(
  "DeliveryFailed",
  ...problem("delivery_failed", 503, "The code could not be delivered", retryAfter)
) {}

export class WeakPassword extends HttpApiError.Problem<WeakPassword>()(
  "WeakPassword",
  ...problem("weak_password", 422, "The password is too easy to guess")
) {}

export class SamePassword extends HttpApiError.Problem<SamePassword>()(
  "SamePassword",
  ...problem("same_password", 422, "The new password is the old one")
) {}

export class CurrentPasswordInvalid extends HttpApiError.Problem<CurrentPasswordInvalid>()(
  "CurrentPasswordInvalid",
  ...problem("current_password_invalid", 400, "The current password is wrong or missing")
) {}

/** The session is too old, or a recovery session: the user must log in again. */
export class ReauthenticationRequired extends HttpApiError.Problem<ReauthenticationRequired>()(
  "ReauthenticationRequired",
  ...problem("reauthentication_required", 403, "A recent login is required")
) {}

/** An API key was sent to an endpoint for users. */
export class KeyNotAllowed extends HttpApiError.Problem<KeyNotAllowed>()(
  "KeyNotAllowed",
  ...problem("key_not_allowed", 403, "API keys may not call this route")
) {}

export class CredentialsInvalid extends HttpApiError.Problem<CredentialsInvalid>()(
  "CredentialsInvalid",
  ...problem("credentials_invalid", 401, "The number or password is wrong")
) {}

export class PasswordLoginOff extends HttpApiError.Problem<PasswordLoginOff>()(
  "PasswordLoginOff",
  ...problem("not_found", 404, "No such route")
) {}

export class TooManyAttempts extends HttpApiError.Problem<TooManyAttempts>()(
  "TooManyAttempts",
  ...problem("too_many_attempts", 429, "Too many attempts", retryAfter)
) {}

/** The queue of passwords to hash is full. */
export class PasswordsBusy extends HttpApiError.Problem<PasswordsBusy>()(
  "PasswordsBusy",
  ...problem("overloaded", 503, "The server is too busy", retryAfter)
) {}

export class RefreshInvalid extends HttpApiError.Problem<RefreshInvalid>()(
  "RefreshInvalid",
  ...problem("refresh_invalid", 401, "The refresh token is invalid")
) {}

/** The token was exchanged before, so two clients hold it: the session ends. */
export class RefreshReused extends HttpApiError.Problem<RefreshReused>()(
  "RefreshReused",
  ...problem("refresh_reused", 401, "The refresh token was used before; its session has ended")
) {}

/** A page of another origin asked for the refresh cookie. */
export class CrossOriginCookie extends HttpApiError.Problem<CrossOriginCookie>()(
  "CrossOriginCookie",
  ...problem("cross_origin_cookie", 403, "The refresh cookie is only for pages of the API's own origin")
) {}

export class SessionNotFound extends HttpApiError.Problem<SessionNotFound>()(
  "SessionNotFound",
  ...problem("session_not_found", 404, "Session not found")
) {}

const unauthenticated = {
  unauthenticated: "An access token is required",
  token_invalid: "The access token is invalid",
  token_expired: "The access token has expired",
  session_revoked: "The session has ended"
}

/** Every 401 of a protected route; the server adds `WWW-Authenticate` (RFC 6750). */
export class Unauthenticated extends HttpApiError.Problem<Unauthenticated>()(
  "Unauthenticated",
  { type: "urn:problem-type:unauthenticated", status: 401, title: "Not authenticated" },
  {
    detail: Schema.String.annotate({ examples: Object.values(unauthenticated) }),
    code: Schema.Literals(["unauthenticated", "token_invalid", "token_expired", "session_revoked"]),
    requestId: Schema.optionalKey(Schema.String)
  }
) {
  static readonly because = (code: keyof typeof unauthenticated) => new Unauthenticated({ code, detail: unauthenticated[code] })
}
