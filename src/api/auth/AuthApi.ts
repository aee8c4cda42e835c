import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, HttpApiSecurity, OpenApi } from "effect/http-api"
import { ids } from "../Examples.ts"
import { AllowsRecovery } from "../Annotations.ts"
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
  ResetPassword,
  Session,
  SignedUp,
  ToMobile,
  Tokens,
  VerifyOtp
} from "./AuthBodies.ts"
import {
  CredentialsInvalid,
  CurrentPasswordInvalid,
  DeliveryFailed,
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

/** The middleware's key alone, so that a client made of the contract imports neither jose nor SQL. */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentUser }>()(
  "chat-backend/auth/Authorization",
  {
    requiredForClient: true,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotateMerge(
          OpenApi.annotations({ description: "The `token` of POST /auth/verify-otp.", format: "JWT" })
        )
      )
    },
    error: [Unauthenticated, ReauthenticationRequired]
  }
) {}

export class AuthApi extends HttpApiGroup.make("auth")
  .add(
    HttpApiEndpoint.post("signUp", "/signup", {
      payload: NewUser,
      success: SignedUp.pipe(HttpApiSchema.status(201)),
      error: [PhoneTaken, WeakPassword, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("signUp", "Register a number", "The user stays `pending` until its number is proved by a code.")),
    HttpApiEndpoint.post("sendOtp", "/send-otp", {
      payload: ToMobile,
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(describe("sendOtp", "Send a one-time code", "Answers the same for known and unknown numbers.")),
    HttpApiEndpoint.post("verifyOtp", "/verify-otp", {
      payload: VerifyOtp,
      success: Login,
      error: [OtpInvalid, OtpAttemptsExceeded, TooManyAttempts]
    }).annotateMerge(
      describe(
        "verifyOtp",
        "Log in with a code",
        "An unregistered number is registered by its first good code. With `reset_password` the session lasts ten minutes and can only change the password."
      )
    ),
    HttpApiEndpoint.post("forgotPassword", "/forgot-password", {
      payload: ToMobile,
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(
      describe("forgotPassword", "Send a code to reset the password", "Answers the same for known and unknown numbers.")
    ),
    HttpApiEndpoint.post("resetPassword", "/reset-password", {
      payload: ResetPassword,
      success: HttpApiSchema.NoContent,
      error: [WeakPassword, OtpInvalid, OtpAttemptsExceeded, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(
      describe("resetPassword", "Set a new password with a code", "All sessions end. A weak password does not use the code up.")
    ),
    HttpApiEndpoint.post("passwordLogin", "/login", {
      payload: PasswordLogin,
      success: Login,
      error: [CredentialsInvalid, PasswordLoginOff, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("passwordLogin", "Log in with a password", "404 unless the server runs with PASSWORD_LOGIN=true.")),
    HttpApiEndpoint.post("refresh", "/refresh", {
      payload: Refresh,
      success: Tokens,
      error: [RefreshInvalid, RefreshReused]
    }).annotateMerge(
      describe("refresh", "Exchange the refresh token", "The previous one works ten seconds more; an older one ends the session.")
    )
  )
  .prefix("/auth")
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
          "Other sessions end. The first password needs no current one, but a login of the last ten minutes."
        )
      )
      .annotate(AllowsRecovery, true),
    HttpApiEndpoint.post("logout", "/logout", {
      payload: Logout,
      success: HttpApiSchema.NoContent
    }).annotateMerge(
      describe(
        "logout",
        "End this session, the others, or all",
        "`local` (this one, when nothing is said), `others` or `global`."
      )
    ),
    HttpApiEndpoint.get("listSessions", "/sessions", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(Session, "SessionPage", exampleSession), linkHeader)
    }).annotateMerge(describe("listSessions", "Where the user is logged in", "The newest first.")),
    HttpApiEndpoint.delete("revokeSession", "/sessions/:id", {
      params: { id: SessionId.annotate({ description: "The session's id.", examples: [SessionId.make(ids.session)] }) },
      success: HttpApiSchema.NoContent,
      error: SessionNotFound
    }).annotateMerge(describe("revokeSession", "End a session", "Its tokens are good for nothing at once."))
  )
  .prefix("/auth")
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({ title: "Sessions", description: "Passwords and sessions of the one who is logged in." })
  ) {}
