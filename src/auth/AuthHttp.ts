import { Effect, Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { iso } from "../api/Schemas.ts"
import { Accounts } from "./Accounts.ts"
import { AddressLimits } from "./AddressLimits.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { RefreshInvalid, SessionNotFound } from "../api/auth/AuthErrors.ts"
import { DefaultRegion } from "../api/auth/Mobile.ts"
import { AppConfig } from "../config/Settings.ts"
import { AuthEvents } from "./AuthEvents.ts"
import { Cursors } from "../http/Cursors.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { clientOf, originOf } from "../http/Origin.ts"
import { Otp } from "./Otp.ts"
import { Passwords } from "./Passwords.ts"
import { type ListedSession, recoverySeconds, Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"
import { type SessionId, UserId } from "../api/auth/User.ts"
import { Users } from "./Users.ts"
import { SignupTokens } from "./SignupTokens.ts"

/** Also one more of those that are not judged any more: it is no better than those before it. */
const isWrong = ({ _tag }: { readonly _tag: string }) =>
  ["OtpInvalid", "OtpAttemptsExceeded", "CredentialsInvalid", "TooManyAttempts"].includes(_tag)

const AuthRoutes = HttpApiBuilder.group(
  Api,
  "auth",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const addressLimits = yield* AddressLimits
    const events = yield* AuthEvents
    const otp = yield* Otp
    const passwords = yield* Passwords
    const users = yield* Users
    const sessions = yield* Sessions
    const tokens = yield* Tokens
    const signupTokens = yield* SignupTokens

    const issue = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId, counter: number, expiresIn = tokens.ttl) {
      return {
        token: yield* tokens.sign(userId, sessionId, expiresIn),
        tokenType: "Bearer" as const,
        expiresIn,
        refreshToken: tokens.refreshToken(userId, sessionId, counter)
      }
    })

    return handlers.handleAll({
      signUp: Effect.fnUntraced(function* ({ payload, request }) {
        const { email = null, mobile, name = null, password } = payload
        const origin = yield* originOf(request)
        yield* addressLimits.signUp(origin.address)
        if (password !== undefined) yield* passwords.check(password)
        const passwordHash = password === undefined ? null : yield* passwords.hash(password)
        const user = yield* users.signUp({ mobile, name, email, client: clientOf(origin) })
        return { user, signupToken: yield* signupTokens.make(mobile, { name, email, passwordHash }) }
      }),
      sendOtp: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* otp.send({ mobile: payload.mobile, purpose: "login", address: (yield* originOf(request)).address })
      }),
      forgotPassword: Effect.fnUntraced(function* ({ payload, request }) {
        return yield* otp.send({ mobile: payload.mobile, purpose: "reset_password", address: (yield* originOf(request)).address })
      }),
      verifyOtp: Effect.fnUntraced(function* ({ payload, request }) {
        const origin = yield* originOf(request)
        const { purpose = "login" } = payload
        yield* addressLimits.guess("code", origin.address, otp.verify({ ...payload, purpose, address: origin.address }), isWrong)
        const details =
          payload.signupToken === undefined ? undefined : yield* signupTokens.read(payload.mobile, payload.signupToken)
        const { isNew, user } = yield* users.activate(payload.mobile, clientOf(origin), details)
        const kind = purpose === "login" ? "login" : "recovery"
        const sessionId = yield* sessions.start(user.id, origin.userAgent, kind)
        yield* events.append(user.id, kind, origin, sessionId)
        // No token says that it outlives its session.
        const expiresIn = kind === "login" ? tokens.ttl : Math.min(tokens.ttl, recoverySeconds)
        return { ...(yield* issue(user.id, sessionId, 0, expiresIn)), isNewUser: isNew, user }
      }),
      resetPassword: Effect.fnUntraced(function* ({ payload, request }) {
        const origin = yield* originOf(request)
        const reset = accounts.resetPassword(payload, payload.newPassword, clientOf(origin), origin)
        return yield* addressLimits.guess("code", origin.address, reset, isWrong)
      }),
      passwordLogin: Effect.fnUntraced(function* ({ payload, request }) {
        const origin = yield* originOf(request)
        const login = accounts.passwordLogin(payload.mobile, payload.password, origin)
        const { sessionId, user } = yield* addressLimits.guess("password", origin.address, login, isWrong)
        return { ...(yield* issue(user.id, sessionId, 0)), isNewUser: false, user }
      }),
      refresh: Effect.fnUntraced(function* ({ payload, request }) {
        const claims = tokens.readRefreshToken(payload.refreshToken)
        if (claims === undefined) return yield* new RefreshInvalid()
        const { counter, sessionId, userId } = claims
        const next = yield* sessions
          .refresh(userId, sessionId, counter)
          .pipe(
            Effect.tapErrorTag("RefreshReused", () =>
              Effect.flatMap(originOf(request), (origin) => events.append(userId, "refresh_reused", origin, sessionId))
            )
          )
        return yield* issue(userId, sessionId, next)
      })
    })
  })
)

const SessionRoutes = HttpApiBuilder.group(
  Api,
  "sessions",
  Effect.fn(function* (handlers) {
    const accounts = yield* Accounts
    const events = yield* AuthEvents
    const sessions = yield* Sessions
    const cursors = yield* Cursors

    return handlers.handleAll({
      changePassword: Effect.fnUntraced(function* ({ payload, request }) {
        const user = yield* CurrentUser
        return yield* accounts.changePassword(user, payload.currentPassword, payload.newPassword, yield* originOf(request))
      }),
      logout: Effect.fnUntraced(function* ({ payload, request }) {
        const { sessionId, userId } = yield* CurrentUser
        const { scope = "local" } = payload
        yield* sessions.revoke(
          userId,
          scope === "global" ? "all" : scope === "local" ? { only: sessionId } : { except: sessionId }
        )
        yield* events.append(userId, "logout", yield* originOf(request), sessionId)
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
        const ended = yield* sessions.revoke(userId, { only: params.id })
        if (ended === 0) return yield* new SessionNotFound()
        yield* events.append(userId, "session_revoked", yield* originOf(request), params.id)
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
