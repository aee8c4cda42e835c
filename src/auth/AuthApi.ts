import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, HttpApiSecurity, OpenApi } from "effect/http-api"
import { Uuid } from "../Text.ts"
import {
  DeliveryFailed, OtpAttemptsExceeded, OtpCooldown, OtpInvalid, OtpSendLimited, PhoneTaken, Unauthenticated
} from "./AuthErrors.ts"
import { Mobile } from "./Mobile.ts"
import { type CurrentSession, Email, Me, Name, User } from "./User.ts"

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
    error: Unauthenticated
  }
) {}

const describe = (identifier: string, summary: string, description?: string) =>
  OpenApi.annotations({ identifier, summary, ...(description === undefined ? {} : { description }) })

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

export class AuthApi extends HttpApiGroup.make("auth")
  .add(
    HttpApiEndpoint.post("signUp", "/signup", {
      payload: Schema.Struct({ mobile: Mobile, name: Schema.optionalKey(Name), email: Schema.optionalKey(Email) }),
      success: Schema.Struct({ user: User }).annotate({ identifier: "SignUp" }).pipe(HttpApiSchema.status(201)),
      error: PhoneTaken
    }).annotateMerge(describe("signUp", "Register a number", "The user stays `pending` until its number is proved by a code.")),
    HttpApiEndpoint.post("sendOtp", "/send-otp", {
      payload: Schema.Struct({ mobile: Mobile }),
      success: Challenge,
      error: [OtpCooldown, OtpSendLimited, DeliveryFailed]
    }).annotateMerge(describe("sendOtp", "Send a one-time code", "Answers the same for known and unknown numbers.")),
    HttpApiEndpoint.post("verifyOtp", "/verify-otp", {
      payload: Schema.Struct({
        mobile: Mobile,
        otp: Schema.String.check(Schema.isPattern(/^\d{6}$/u, { message: "must be six digits" })),
        challengeId: Schema.optionalKey(Uuid),
        purpose: Schema.optionalKey(Schema.Literals(["login"]))
      }),
      success: Login,
      error: [OtpInvalid, OtpAttemptsExceeded]
    }).annotateMerge(describe("verifyOtp", "Log in with a code", "An unregistered number is registered by its first good code."))
  )
  .prefix("/auth")
  .annotateMerge(OpenApi.annotations({ title: "Auth", description: "One-time codes and sessions." }))
{}

export class UserApi extends HttpApiGroup.make("user")
  .add(
    HttpApiEndpoint.get("me", "/me", { success: Me }).annotateMerge(describe("getMe", "The user, tier and today's quota"))
  )
  .prefix("/user")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "User", description: "The one who is logged in." }))
{}
