import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, HttpApiSecurity, OpenApi } from "effect/http-api"
import { AllowsRecovery, AllowsRefreshCookie, CacheControl, noStore } from "../Annotations.ts"
import { ids } from "../Examples.ts"
import { describe } from "../Describe.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import {
  Challenge,
  ChangePassword,
  exampleSession,
  Login,
  Logout,
  NewUser,
  PasswordLogin,
  Refresh,
  RefreshTokenPlace,
  ResetPassword,
  Session,
  SignedUp,
  ToMobile,
  Tokens,
  VerifyOtp
} from "./AuthBodies.ts"
import {
  CountryUnsupported,
  CredentialsInvalid,
  CrossOriginCookie,
  CurrentPasswordInvalid,
  DeliveryFailed,
  KeyNotAllowed,
  OtpAttemptsExceeded,
  OtpCooldown,
  OtpInvalid,
  OtpSendLimited,
  PasswordLoginOff,
  PasswordsBusy,
  PhoneTaken,
  ReauthenticationRequired,
  RefreshInvalid,
  RefreshReused,
  SamePassword,
  SessionNotFound,
  TooManyAttempts,
  Unauthenticated,
  WeakPassword
} from "./AuthErrors.ts"
import { type CurrentSession, SessionId } from "./User.ts"

export class CurrentUser extends Context.Service<CurrentUser, CurrentSession>()("chat-backend/auth/CurrentUser") {}

/** Only the middleware's key: a client built from the contract must import neither jose nor SQL. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentUser }>()(
  "chat-backend/auth/Authorization",
  {
    requiredForClient: true,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotateMerge(
          OpenApi.annotations({
            description:
              "The `token` from POST /auth/verify-otp; on `/chatroom`, `/search` and `/models` also an API key (POST /user/keys).",
            format: "JWT"
          })
        )
      )
    },
    error: [Unauthenticated, ReauthenticationRequired, KeyNotAllowed]
  }
) {}

export class AuthApi extends HttpApiGroup.make("auth")
  .add(
    HttpApiEndpoint.post("signUp", "/signup", {
      payload: NewUser,
      success: SignedUp.pipe(HttpApiSchema.status(201)),
      error: [PhoneTaken, WeakPassword, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("signUp", "Register a mobile number", "The user is `pending` until a code confirms the number.")),
    HttpApiEndpoint.post("sendOtp", "/send-otp", {
      payload: ToMobile,
      success: Challenge,
      error: [CountryUnsupported, OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(
      describe(
        "sendOtp",
        "Send a one-time code",
        "The response is the same for known and unknown numbers. Within 30 seconds of another client's request no second message is sent: the client gets a challenge of its own for the same code."
      )
    ),
    HttpApiEndpoint.post("verifyOtp", "/verify-otp", {
      headers: RefreshTokenPlace,
      payload: VerifyOtp,
      success: Login,
      error: [CrossOriginCookie, OtpInvalid, OtpAttemptsExceeded, TooManyAttempts]
    }).annotateMerge(
      describe(
        "verifyOtp",
        "Log in with a code",
        "The first valid code registers an unregistered number. With `reset_password`, the session lasts ten minutes and can only change the password."
      )
    ),
    HttpApiEndpoint.post("forgotPassword", "/forgot-password", {
      payload: ToMobile,
      success: Challenge,
      error: [CountryUnsupported, OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(
      describe("forgotPassword", "Send a code to reset the password", "The response is the same for known and unknown numbers.")
    ),
    HttpApiEndpoint.post("resetPassword", "/reset-password", {
      payload: ResetPassword,
      success: HttpApiSchema.NoContent,
      error: [WeakPassword, OtpInvalid, OtpAttemptsExceeded, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(
      describe("resetPassword", "Set a new password with a code", "Ends all sessions. A weak password does not use up the code.")
    ),
    HttpApiEndpoint.post("passwordLogin", "/login", {
      headers: RefreshTokenPlace,
      payload: PasswordLogin,
      success: Login,
      error: [CrossOriginCookie, CredentialsInvalid, PasswordLoginOff, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("passwordLogin", "Log in with a password", "404 unless the server has PASSWORD_LOGIN=true.")),
    HttpApiEndpoint.post("refresh", "/refresh", {
      headers: RefreshTokenPlace,
      payload: Refresh,
      success: Tokens,
      error: [CrossOriginCookie, RefreshInvalid, RefreshReused]
    }).annotateMerge(
      describe(
        "refresh",
        "Exchange the refresh token",
        "If the response is lost, repeat the request with the same token: that works for an hour, until the new token has been used. After that, using the old token ends the session."
      )
    )
  )
  .prefix("/auth")
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Auth", description: "One-time codes, passwords and tokens." })) {}

export class SessionsApi extends HttpApiGroup.make("sessions")
  .add(
    HttpApiEndpoint.post("changePassword", "/change-password", {
      payload: ChangePassword,
      success: HttpApiSchema.NoContent,
      error: [CurrentPasswordInvalid, SamePassword, WeakPassword, TooManyAttempts, PasswordsBusy]
    })
      .annotateMerge(
        describe(
          "changePassword",
          "Set or change the password",
          "Ends the other sessions. The first password needs a login within the last ten minutes instead of a current password."
        )
      )
      .annotate(AllowsRecovery, true),
    HttpApiEndpoint.post("logout", "/logout", {
      headers: RefreshTokenPlace,
      payload: Logout,
      success: HttpApiSchema.NoContent,
      error: CrossOriginCookie
    })
      .annotateMerge(
        describe(
          "logout",
          "Log out of this session, the others, or all",
          "`scope` is `local` (this session, the default), `others` or `global`. With `X-Refresh-Token: cookie` the session may also be that of the cookie, and the cookie is cleared unless only the others end."
        )
      )
      .annotate(AllowsRefreshCookie, true),
    HttpApiEndpoint.get("listSessions", "/sessions", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(Session, "SessionPage", exampleSession), linkHeader)
    }).annotateMerge(describe("listSessions", "List the user's sessions", "Newest first.")),
    HttpApiEndpoint.delete("revokeSession", "/sessions/:id", {
      params: { id: SessionId.annotate({ description: "Session id.", examples: [SessionId.make(ids.session)] }) },
      success: HttpApiSchema.NoContent,
      error: SessionNotFound
    }).annotateMerge(describe("revokeSession", "End a session", "Its tokens stop working immediately."))
  )
  .prefix("/auth")
  .annotate(CacheControl, noStore)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Sessions", description: "Password and sessions of the logged-in user." })) {}
