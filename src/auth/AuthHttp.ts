import { Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { Login, Tokens } from "../api/auth/AuthBodies.ts"
import { RefreshInvalid } from "../api/auth/AuthErrors.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { DefaultRegion } from "../api/auth/Mobile.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { iso } from "../api/Schemas.ts"
import { AppConfig } from "../config/Settings.ts"
import { Cursors } from "../http/Cursors.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { originOf } from "../http/Origin.ts"
import { Accounts } from "./Accounts.ts"
import { Otp } from "./Otp.ts"
import { PasswordChanges } from "./PasswordChanges.ts"
import { RefreshCookie } from "../http/RefreshCookie.ts"
import { type ListedSession, Sessions } from "./Sessions.ts"

const loginResponse = HttpServerResponse.schemaJson(Login)
const tokensResponse = HttpServerResponse.schemaJson(Tokens)

const invalidToken = (message: string) => new ValidationFailed({ errors: [{ path: "/refreshToken", message }] })

const AuthRoutes = HttpApiBuilder.group(
  Api,
  "auth",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const cookie = yield* RefreshCookie
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
        const isWanted = yield* cookie.isWanted(request)
        const { refreshToken, sessionSeconds, ...login } = yield* accounts.verifyOtp(payload, yield* originOf(request))
        if (!isWanted) return { ...login, refreshToken }
        const response = yield* Effect.orDie(loginResponse(login))
        // A recovery session cannot be refreshed, and must not replace the cookie of a login.
        return payload.purpose === "reset_password" ? response : cookie.set(response, refreshToken, sessionSeconds)
      }),
      resetPassword: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* passwordChanges.reset(payload, yield* originOf(request))
      }),
      passwordLogin: Effect.fnUntraced(function* ({ payload, request }) {
        const isWanted = yield* cookie.isWanted(request)
        const origin = yield* originOf(request)
        const { refreshToken, sessionSeconds, ...login } = yield* accounts.passwordLogin(payload.mobile, payload.password, origin)
        if (!isWanted) return { ...login, refreshToken }
        return cookie.set(yield* Effect.orDie(loginResponse(login)), refreshToken, sessionSeconds)
      }),
      refresh: Effect.fnUntraced(function* ({ payload, request }) {
        const isWanted = yield* cookie.isWanted(request)
        const sent = payload.refreshToken
        // One place for the token, so that it is clear which of two sessions is meant.
        if (isWanted && sent !== undefined) return yield* invalidToken("must be absent with `X-Refresh-Token: cookie`")
        if (!isWanted && sent === undefined) return yield* invalidToken("is missing")
        const presented = sent ?? cookie.read(request)
        if (presented === undefined) return yield* new RefreshInvalid()
        const { refreshToken, sessionSeconds, ...tokens } = yield* accounts.refresh(presented, yield* originOf(request))
        if (!isWanted) return { ...tokens, refreshToken }
        return cookie.set(yield* Effect.orDie(tokensResponse(tokens)), refreshToken, sessionSeconds)
      })
    })
  })
)

const SessionRoutes = HttpApiBuilder.group(
  Api,
  "sessions",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const cookie = yield* RefreshCookie
    const cursors = yield* Cursors
    const passwordChanges = yield* PasswordChanges
    const sessions = yield* Sessions

    return handlers.handleAll({
      changePassword: Effect.fnUntraced(function* ({ payload, request }) {
        const { currentPassword, newPassword } = payload
        return yield* passwordChanges.change(yield* CurrentUser, currentPassword, newPassword, yield* originOf(request))
      }),
      logout: Effect.fnUntraced(function* ({ payload, request }) {
        const { scope = "local" } = payload
        const isWanted = yield* cookie.isWanted(request)
        yield* accounts.logout(yield* CurrentUser, scope, yield* originOf(request))
        return isWanted && scope !== "others" ? cookie.clear : undefined
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
