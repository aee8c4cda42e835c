import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, HttpApiSecurity, OpenApi } from "effect/http-api"
import { describe } from "../http/Describe.ts"
import { page } from "../http/Pagination.ts"
import { text, Timestamp, Uuid } from "../Text.ts"
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
import { Mobile } from "./Mobile.ts"
import { type CurrentSession, Email, Name, SessionId, User } from "./User.ts"

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

const Challenge = Schema.Struct({
  challengeId: Uuid,
  expiresIn: Schema.Int.annotate({ description: "Seconds the code lives." }),
  resendAfter: Schema.Int.annotate({ description: "Seconds until another code may be asked for." }),
  otp: Schema.optionalKey(Schema.String.annotate({ description: "The code itself; only with OTP_DELIVERY=response." }))
}).annotate({ identifier: "OtpChallenge" })

const Login = Schema.Struct({
  token: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  expiresIn: Schema.Int.annotate({ description: "Seconds the access token lives." }),
  refreshToken: Schema.String,
  isNewUser: Schema.Boolean,
  user: User
}).annotate({ identifier: "Login" })

const Otp = Schema.String.check(Schema.isPattern(/^\d{6}$/u, { message: "must be six digits" }))
/** Its strength is judged apart (422); this only keeps out what no password is. */
const Password = text(1, 1_000).annotate({ format: "password" }).pipe(Schema.RedactedFromValue)

const Tokens = Schema.Struct({
  token: Schema.String,
  tokenType: Schema.Literal("Bearer"),
  expiresIn: Schema.Int.annotate({ description: "Seconds the access token lives." }),
  refreshToken: Schema.String
}).annotate({ identifier: "Tokens" })

const Session = Schema.Struct({
  id: SessionId.annotate({ description: "The token's `sid`." }),
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  userAgent: Schema.NullOr(Schema.String),
  current: Schema.Boolean
}).annotate({ identifier: "Session" })

export class AuthApi extends HttpApiGroup.make("auth")
  .add(
    HttpApiEndpoint.post("signUp", "/signup", {
      payload: Schema.Struct({
        mobile: Mobile,
        name: Schema.optionalKey(Name),
        email: Schema.optionalKey(Email),
        password: Schema.optionalKey(Password)
      }),
      success: Schema.Struct({ user: User }).annotate({ identifier: "SignUp" }).pipe(HttpApiSchema.status(201)),
      error: [PhoneTaken, WeakPassword, PasswordsBusy]
    }).annotateMerge(describe("signUp", "Register a number", "The user stays `pending` until its number is proved by a code.")),
    HttpApiEndpoint.post("sendOtp", "/send-otp", {
      payload: Schema.Struct({ mobile: Mobile }),
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(describe("sendOtp", "Send a one-time code", "Answers the same for known and unknown numbers.")),
    HttpApiEndpoint.post("verifyOtp", "/verify-otp", {
      payload: Schema.Struct({
        mobile: Mobile,
        otp: Otp,
        challengeId: Schema.optionalKey(Uuid),
        purpose: Schema.optionalKey(Schema.Literals(["login", "reset_password"]))
      }),
      success: Login,
      error: [OtpInvalid, OtpAttemptsExceeded]
    }).annotateMerge(
      describe(
        "verifyOtp",
        "Log in with a code",
        "An unregistered number is registered by its first good code. With `reset_password` the session lasts ten minutes and can only change the password."
      )
    ),
    HttpApiEndpoint.post("forgotPassword", "/forgot-password", {
      payload: Schema.Struct({ mobile: Mobile }),
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(
      describe("forgotPassword", "Send a code to reset the password", "Answers the same for known and unknown numbers.")
    ),
    HttpApiEndpoint.post("resetPassword", "/reset-password", {
      payload: Schema.Struct({ mobile: Mobile, otp: Otp, newPassword: Password, challengeId: Schema.optionalKey(Uuid) }),
      success: HttpApiSchema.NoContent,
      error: [WeakPassword, OtpInvalid, OtpAttemptsExceeded, PasswordsBusy]
    }).annotateMerge(
      describe("resetPassword", "Set a new password with a code", "All sessions end. A weak password does not use the code up.")
    ),
    HttpApiEndpoint.post("passwordLogin", "/login", {
      payload: Schema.Struct({ mobile: Mobile, password: Password }),
      success: Login,
      error: [CredentialsInvalid, PasswordLoginOff, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("passwordLogin", "Log in with a password", "404 unless the server runs with PASSWORD_LOGIN=true.")),
    HttpApiEndpoint.post("refresh", "/refresh", {
      // Whatever it is: what is no token of ours is 401, so that a client learns from one answer to log in again.
      payload: Schema.Struct({ refreshToken: Schema.String }),
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
      payload: Schema.Struct({ currentPassword: Schema.optionalKey(Password), newPassword: Password }),
      success: HttpApiSchema.NoContent,
      error: [CurrentPasswordInvalid, SamePassword, WeakPassword, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("changePassword", "Set or change the password", "Other sessions end.")),
    HttpApiEndpoint.post("logout", "/logout", {
      payload: Schema.Struct({ scope: Schema.optionalKey(Schema.Literals(["local", "others", "global"])) }),
      success: HttpApiSchema.NoContent
    }).annotateMerge(describe("logout", "End this session, the others, or all")),
    HttpApiEndpoint.get("listSessions", "/sessions", {
      success: page(Session, "SessionPage")
    }).annotateMerge(describe("listSessions", "Where the user is logged in")),
    HttpApiEndpoint.delete("revokeSession", "/sessions/:id", {
      params: { id: SessionId },
      success: HttpApiSchema.NoContent,
      error: SessionNotFound
    }).annotateMerge(describe("revokeSession", "End a session"))
  )
  .prefix("/auth")
  .middleware(Authorization)
  .annotateMerge(
    OpenApi.annotations({ title: "Sessions", description: "Passwords and sessions of the one who is logged in." })
  ) {}
