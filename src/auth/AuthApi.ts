import { Context, Redacted, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, HttpApiSecurity, OpenApi } from "effect/http-api"
import { ada, ids, times } from "../Examples.ts"
import { describe } from "../http/Describe.ts"
import { page } from "../http/Pagination.ts"
import { Count, text, Timestamp, Uuid } from "../Text.ts"
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
import { type CurrentSession, Email, exampleUser, Name, SessionId, User } from "./User.ts"

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

const mobile = Mobile.make(ada.mobile)
const password = Redacted.make(ada.password)
const otp = "042137"

const Challenge = Schema.Struct({
  challengeId: Uuid,
  expiresIn: Count.annotate({ description: "Seconds the code lives." }),
  resendAfter: Count.annotate({ description: "Seconds until another code may be asked for." }),
  otp: Schema.optionalKey(Schema.String.annotate({ description: "The code itself; only with OTP_DELIVERY=response." }))
}).annotate({
  identifier: "OtpChallenge",
  description: "A code was made.",
  examples: [{ challengeId: ids.challenge, expiresIn: 300, resendAfter: 30, otp }]
})

const tokens = {
  token: Schema.String.annotate({ description: "The access token, for `Authorization: Bearer`." }),
  tokenType: Schema.Literal("Bearer"),
  expiresIn: Count.annotate({ description: "Seconds the access token lives." }),
  refreshToken: Schema.String.annotate({ description: "For POST /auth/refresh; good once." })
}
const exampleTokens = { token: ada.token, tokenType: "Bearer" as const, expiresIn: 3_600, refreshToken: ada.refreshToken }

const Tokens = Schema.Struct(tokens).annotate({
  identifier: "Tokens",
  description: "A new pair of tokens.",
  examples: [exampleTokens]
})

const Login = Schema.Struct({ ...tokens, isNewUser: Schema.Boolean, user: User }).annotate({
  identifier: "Login",
  description: "Tokens of a new session, and whose they are.",
  examples: [{ ...exampleTokens, isNewUser: true, user: exampleUser }]
})

const Otp = Schema.String.check(Schema.isPattern(/^\d{6}$/u, { message: "must be six digits" })).annotate({
  description: "The six digits that were sent."
})
/** Its strength is judged apart (422); this only keeps out what no password is. */
const Password = text(1, 1_000)
  .annotate({
    format: "password",
    description: "Of 8 to 128 characters, and not among the common ones; else 422 `weak_password`."
  })
  .pipe(Schema.RedactedFromValue)

const Session = Schema.Struct({
  id: SessionId,
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  userAgent: Schema.NullOr(Schema.String),
  current: Schema.Boolean.annotate({ description: "Whether it is the one that asks." })
}).annotate({ identifier: "Session", description: "A login; its id is the token's `sid`." })
const exampleSession = {
  id: SessionId.make(ids.session),
  createdAt: times.loggedIn,
  lastUsedAt: times.asked,
  userAgent: ada.userAgent,
  current: true
}

const ToMobile = Schema.Struct({ mobile: Mobile }).annotate({ identifier: "ToMobile", examples: [{ mobile }] })

export class AuthApi extends HttpApiGroup.make("auth")
  .add(
    HttpApiEndpoint.post("signUp", "/signup", {
      payload: Schema.Struct({
        mobile: Mobile,
        name: Schema.optionalKey(Name),
        email: Schema.optionalKey(Email),
        password: Schema.optionalKey(Password)
      }).annotate({
        identifier: "NewUser",
        examples: [{ mobile, name: ada.name, email: ada.email, password }]
      }),
      success: Schema.Struct({ user: User })
        .annotate({
          identifier: "SignUp",
          description: "The user, `pending` until the number is proved.",
          examples: [{ user: { ...exampleUser, status: "pending" } }]
        })
        .pipe(HttpApiSchema.status(201)),
      error: [PhoneTaken, WeakPassword, PasswordsBusy]
    }).annotateMerge(describe("signUp", "Register a number", "The user stays `pending` until its number is proved by a code.")),
    HttpApiEndpoint.post("sendOtp", "/send-otp", {
      payload: ToMobile,
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(describe("sendOtp", "Send a one-time code", "Answers the same for known and unknown numbers.")),
    HttpApiEndpoint.post("verifyOtp", "/verify-otp", {
      payload: Schema.Struct({
        mobile: Mobile,
        otp: Otp,
        challengeId: Schema.optionalKey(Uuid),
        purpose: Schema.optionalKey(Schema.Literals(["login", "reset_password"])).annotate({ default: "login" })
      }).annotate({ identifier: "VerifyOtp", examples: [{ mobile, otp, challengeId: ids.challenge }] }),
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
      payload: ToMobile,
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(
      describe("forgotPassword", "Send a code to reset the password", "Answers the same for known and unknown numbers.")
    ),
    HttpApiEndpoint.post("resetPassword", "/reset-password", {
      payload: Schema.Struct({
        mobile: Mobile,
        otp: Otp,
        newPassword: Password,
        challengeId: Schema.optionalKey(Uuid)
      }).annotate({
        identifier: "ResetPassword",
        examples: [{ mobile, otp, newPassword: password, challengeId: ids.challenge }]
      }),
      success: HttpApiSchema.NoContent,
      error: [WeakPassword, OtpInvalid, OtpAttemptsExceeded, PasswordsBusy]
    }).annotateMerge(
      describe("resetPassword", "Set a new password with a code", "All sessions end. A weak password does not use the code up.")
    ),
    HttpApiEndpoint.post("passwordLogin", "/login", {
      payload: Schema.Struct({ mobile: Mobile, password: Password }).annotate({
        identifier: "PasswordLogin",
        examples: [{ mobile, password }]
      }),
      success: Login,
      error: [CredentialsInvalid, PasswordLoginOff, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(describe("passwordLogin", "Log in with a password", "404 unless the server runs with PASSWORD_LOGIN=true.")),
    HttpApiEndpoint.post("refresh", "/refresh", {
      // Whatever it is: what is no token of ours is 401, so that a client learns from one answer to log in again.
      payload: Schema.Struct({ refreshToken: Schema.String }).annotate({
        identifier: "Refresh",
        examples: [{ refreshToken: ada.refreshToken }]
      }),
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
      payload: Schema.Struct({ currentPassword: Schema.optionalKey(Password), newPassword: Password }).annotate({
        identifier: "ChangePassword",
        examples: [{ currentPassword: password, newPassword: Redacted.make("an engine that weaves flowers") }]
      }),
      success: HttpApiSchema.NoContent,
      error: [CurrentPasswordInvalid, SamePassword, WeakPassword, TooManyAttempts, PasswordsBusy]
    }).annotateMerge(
      describe(
        "changePassword",
        "Set or change the password",
        "Other sessions end. The first password needs no current one, but a login of the last ten minutes."
      )
    ),
    HttpApiEndpoint.post("logout", "/logout", {
      payload: Schema.Struct({
        scope: Schema.optionalKey(Schema.Literals(["local", "others", "global"]))
      }).annotate({ identifier: "Logout", examples: [{ scope: "local" }] }),
      success: HttpApiSchema.NoContent
    }).annotateMerge(
      describe(
        "logout",
        "End this session, the others, or all",
        "`local` (this one, when nothing is said), `others` or `global`."
      )
    ),
    HttpApiEndpoint.get("listSessions", "/sessions", {
      success: page(Session, "SessionPage", exampleSession)
    }).annotateMerge(describe("listSessions", "Where the user is logged in", "All of it on one page.")),
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
