import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../Api.ts"
import { Quota } from "../chat/Quota.ts"
import { iso } from "../Text.ts"
import { CurrentUser } from "./AuthApi.ts"
import { Otp } from "./Otp.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"
import { Users } from "./Users.ts"

const AuthRoutes = HttpApiBuilder.group(
  Api,
  "auth",
  Effect.fn(function* (handlers) {
    const otp = yield* Otp
    const users = yield* Users
    const sessions = yield* Sessions
    const tokens = yield* Tokens

    return handlers.handleAll({
      signUp: Effect.fnUntraced(function* ({ payload }) {
        const user = yield* users.signUp({ mobile: payload.mobile, name: payload.name ?? null, email: payload.email ?? null })
        return { user }
      }),
      sendOtp: ({ payload }) => otp.send(payload.mobile, "login"),
      verifyOtp: Effect.fnUntraced(function* ({ payload, request }) {
        yield* otp.verify({ ...payload, purpose: "login" })
        const { user, isNew } = yield* users.activate(payload.mobile)
        const session = yield* sessions.start(user.id, request.headers["user-agent"] ?? null)
        return {
          token: yield* tokens.sign(user.id, session),
          tokenType: "Bearer" as const,
          expiresIn: tokens.ttl,
          refreshToken: tokens.refreshToken(user.id, session, 0),
          isNewUser: isNew,
          user
        }
      })
    })
  })
)

const UserRoutes = HttpApiBuilder.group(
  Api,
  "user",
  Effect.fn(function* (handlers) {
    const quota = yield* Quota

    return handlers.handleAll({
      me: Effect.fnUntraced(function* () {
        const user = yield* CurrentUser
        return {
          id: user.userId,
          mobile: user.mobile,
          name: user.name,
          email: user.email,
          status: "active" as const,
          tier: user.tier,
          hasPassword: false,
          createdAt: iso(user.createdAt),
          quota: yield* quota.today(user)
        }
      })
    })
  })
)

export const AuthHttp = Layer.mergeAll(AuthRoutes, UserRoutes)
