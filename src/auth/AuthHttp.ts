import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { DefaultRegion } from "../api/auth/Mobile.ts"
import { iso } from "../api/Schemas.ts"
import { AppConfig } from "../config/Settings.ts"
import { Cursors } from "../http/Cursors.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { originOf } from "../http/Origin.ts"
import { Accounts } from "./Accounts.ts"
import { Otp } from "./Otp.ts"
import { PasswordChanges } from "./PasswordChanges.ts"
import { type ListedSession, Sessions } from "./Sessions.ts"

const AuthRoutes = HttpApiBuilder.group(
  Api,
  "auth",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const otp = yield* Otp
    const passwordChanges = yield* PasswordChanges

    return handlers.handleAll({
      signUp: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* accounts.signUp(payload, yield* originOf(request))
      }),
      sendOtp: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* otp.send({ mobile: payload.mobile, purpose: "login", address: (yield* originOf(request)).address })
      }),
      forgotPassword: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* otp.send({ mobile: payload.mobile, purpose: "reset_password", address: (yield* originOf(request)).address })
      }),
      verifyOtp: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* accounts.verifyOtp(payload, yield* originOf(request))
      }),
      resetPassword: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* passwordChanges.reset(payload, yield* originOf(request))
      }),
      passwordLogin: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* accounts.passwordLogin(payload.mobile, payload.password, yield* originOf(request))
      }),
      refresh: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* accounts.refresh(payload.refreshToken, yield* originOf(request))
      })
    })
  })
)

const SessionRoutes = HttpApiBuilder.group(
  Api,
  "sessions",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const cursors = yield* Cursors
    const passwordChanges = yield* PasswordChanges
    const sessions = yield* Sessions

    return handlers.handleAll({
      changePassword: Effect.fnUntraced(function* ({ payload, request }) {
        const { currentPassword, newPassword } = payload
        return yield* passwordChanges.change(yield* CurrentUser, currentPassword, newPassword, yield* originOf(request))
      }),
      logout: Effect.fnUntraced(function* ({ payload, request }) {
        yield* accounts.logout(yield* CurrentUser, payload.scope ?? "local", yield* originOf(request))
      }),
      listSessions: Effect.fnUntraced(function* (call) {
        const { sessionId, userId } = yield* CurrentUser
        const shown = ({ createdAt, id, lastUsedAt, userAgent }: ListedSession) => ({
          id,
          createdAt: iso(createdAt),
          lastUsedAt: iso(lastUsedAt),
          userAgent,
          current: id === sessionId
        })
        return yield* newestFirst(cursors, `sessions:${userId}`, call, (page) =>
          Effect.map(sessions.list(userId, page), ({ found, hasMore }) => ({ found: found.map(shown), hasMore }))
        )
      }),
      revokeSession: Effect.fnUntraced(function* ({ params, request }) {
        const { userId } = yield* CurrentUser
        yield* accounts.revokeSession(userId, params.id, yield* originOf(request))
      })
    })
  })
)

/** The region that the contract's `Mobile` reads national numbers in. */
const Region = Layer.effect(
  DefaultRegion,
  Effect.map(AppConfig, ({ defaultRegion }) => defaultRegion)
)

export const AuthHttp = Layer.mergeAll(AuthRoutes, SessionRoutes).pipe(Layer.provide(Region))
