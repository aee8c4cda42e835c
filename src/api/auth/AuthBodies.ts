import { Redacted, Schema } from "effect"
import { ada, ids, times } from "../Examples.ts"
import { Count, text, Timestamp, Uuid } from "../Schemas.ts"
import { Mobile } from "./Mobile.ts"
import { Email, exampleUser, Name, SessionId, User } from "./User.ts"

const mobile = Mobile.make(ada.mobile)
const password = Redacted.make(ada.password)
const otp = "042137"

export const Challenge = Schema.Struct({
  challengeId: Uuid,
  expiresIn: Count.annotate({ description: "Seconds until the code expires." }),
  resendAfter: Count.annotate({ description: "Seconds until another code can be requested." }),
  otp: Schema.optionalKey(Schema.String.annotate({ description: "The code; only with OTP_DELIVERY=response." }))
}).annotate({
  identifier: "OtpChallenge",
  description: "The code was created.",
  examples: [{ challengeId: ids.challenge, expiresIn: 300, resendAfter: 30, otp }]
})

export const refreshTokenHeader = "x-refresh-token"

/** For pages of the API's own origin: the refresh token goes into a cookie that no script can read. */
export const RefreshTokenPlace = {
  [refreshTokenHeader]: Schema.optionalKey(
    Schema.Literal("cookie").annotate({
      description:
        "For pages of the API's own origin: the refresh token is in the HttpOnly cookie `__Host-refresh`, not in the body. See docs/clients.md."
    })
  )
}

const tokens = {
  token: Schema.String.annotate({ description: "The access token, for `Authorization: Bearer`." }),
  tokenType: Schema.Literal("Bearer"),
  expiresIn: Count.annotate({ description: "Seconds until the access token expires." }),
  refreshToken: Schema.optionalKey(
    Schema.String.annotate({
      description: "For POST /auth/refresh; can be used once. Absent only with `X-Refresh-Token: cookie`."
    })
  )
}
const exampleTokens = { token: ada.token, tokenType: "Bearer" as const, expiresIn: 3_600, refreshToken: ada.refreshToken }

export const Tokens = Schema.Struct(tokens).annotate({
  identifier: "Tokens",
  description: "A new pair of tokens.",
  examples: [exampleTokens]
})

export const Login = Schema.Struct({ ...tokens, isNewUser: Schema.Boolean, user: User }).annotate({
  identifier: "Login",
  description: "Tokens of a new session, and its user.",
  examples: [{ ...exampleTokens, isNewUser: true, user: exampleUser }]
})

const sixDigits = { message: "must be a string of six digits" }
const Otp = Schema.String.annotate(sixDigits)
  .check(Schema.isPattern(/^\d{6}$/u, sixDigits))
  .annotate({ description: "The six digits of the code, as a string." })
/** Only the outer bound; the strength check comes later (422). */
const Password = text(1, 1_000)
  .annotate({
    format: "password",
    description:
      "8 to 128 characters, not a common password, and without the user's number, name or e-mail; otherwise 422 `weak_password`."
  })
  .pipe(Schema.RedactedFromValue)

export const Session = Schema.Struct({
  id: SessionId,
  createdAt: Timestamp,
  lastUsedAt: Timestamp,
  userAgent: Schema.NullOr(Schema.String),
  current: Schema.Boolean.annotate({ description: "Whether this request uses it." })
}).annotate({ identifier: "Session", description: "A login; `id` is the token's `sid`." })
export const exampleSession = {
  id: SessionId.make(ids.session),
  createdAt: times.loggedIn,
  lastUsedAt: times.asked,
  userAgent: ada.userAgent,
  current: true
}

export const ToMobile = Schema.Struct({ mobile: Mobile }).annotate({ identifier: "ToMobile", examples: [{ mobile }] })

export const NewUser = Schema.Struct({
  mobile: Mobile,
  name: Schema.optionalKey(Name),
  email: Schema.optionalKey(Email),
  password: Schema.optionalKey(Password)
}).annotate({
  identifier: "NewUser",
  examples: [{ mobile, name: ada.name, email: ada.email, password }]
})

/** The challenge that a code is for. */
const ofChallenge = Schema.optionalKey(
  Uuid.annotate({
    description:
      "From the response to this client's request for a code. Without it the newest challenge of the client's address is meant, or else the number's newest code."
  })
)

const exampleSignupToken = "eyJtb2JpbGUiOiIrOTE5ODc2NTQzMjEwIn0.c2lnbmVkIGJ5IG5vYm9keQ"

export const SignedUp = Schema.Struct({
  user: User,
  signupToken: Schema.String.annotate({
    description: "For POST /auth/verify-otp within an hour: only with it are this signup's password, name and e-mail adopted."
  })
}).annotate({
  identifier: "SignUp",
  description: "The user, `pending` until a code confirms the number.",
  examples: [{ user: { ...exampleUser, status: "pending" }, signupToken: exampleSignupToken }]
})

export const VerifyOtp = Schema.Struct({
  mobile: Mobile,
  otp: Otp,
  challengeId: ofChallenge,
  purpose: Schema.optionalKey(
    Schema.Literals(["login", "reset_password"]).annotate({
      description: "The purpose that the code was sent for; `login` when absent."
    })
  ),
  signupToken: Schema.optionalKey(
    text(1, 4_000).annotate({ description: "The `signupToken` of POST /auth/signup. A token that is not valid is ignored." })
  )
}).annotate({ identifier: "VerifyOtp", examples: [{ mobile, otp }] })

export const ResetPassword = Schema.Struct({
  mobile: Mobile,
  otp: Otp,
  newPassword: Password,
  challengeId: ofChallenge
}).annotate({
  identifier: "ResetPassword",
  examples: [{ mobile, otp, newPassword: password, challengeId: ids.challenge }]
})

export const PasswordLogin = Schema.Struct({ mobile: Mobile, password: Password }).annotate({
  identifier: "PasswordLogin",
  examples: [{ mobile, password }]
})

/** Any text: an invalid token is 401, not 400, so that a client learns to log in again from one response. */
export const Refresh = Schema.Struct({
  refreshToken: Schema.optionalKey(
    Schema.String.annotate({ description: "Required, except with `X-Refresh-Token: cookie`, where it must be absent." })
  )
}).annotate({
  identifier: "Refresh",
  examples: [{ refreshToken: ada.refreshToken }]
})

export const ChangePassword = Schema.Struct({ currentPassword: Schema.optionalKey(Password), newPassword: Password }).annotate({
  identifier: "ChangePassword",
  examples: [{ currentPassword: password, newPassword: Redacted.make("an engine that weaves flowers") }]
})

export const Logout = Schema.Struct({
  scope: Schema.optionalKey(Schema.Literals(["local", "others", "global"]))
}).annotate({ identifier: "Logout", examples: [{ scope: "local" }] })
