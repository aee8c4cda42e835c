import { Context, Effect, Layer, Redacted } from "effect"
import { HttpServerRequest } from "effect/http"
import { AllowsRecovery, AllowsRefreshCookie } from "../api/Annotations.ts"
import { rejectUnexpectedBody } from "../http/RequestGuard.ts"
import { Authorization, CurrentUser } from "../api/auth/AuthApi.ts"
import { ReauthenticationRequired, Unauthenticated } from "../api/auth/AuthErrors.ts"
import { SessionEnded } from "../ops/RequestSlot.ts"
import { RefreshCookie } from "../http/RefreshCookie.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"

export const AuthorizationLayer = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const tokens = yield* Tokens
    const sessions = yield* Sessions
    const cookie = yield* RefreshCookie

    const byToken = Effect.fnUntraced(function* (token: string) {
      if (token === "") return yield* Unauthenticated.because("unauthenticated")
      const claims = yield* tokens.verify(token)
      return (yield* sessions.find(claims.sub, claims.sid)) ?? (yield* Unauthenticated.because("session_revoked"))
    })

    /** The session of the refresh cookie, for a request whose access token is refused. */
    const byCookie = Effect.fnUntraced(function* (refused: Unauthenticated) {
      const claims = tokens.readRefreshToken(cookie.read(yield* HttpServerRequest.HttpServerRequest) ?? "")
      const session = claims === undefined ? undefined : yield* sessions.find(claims.userId, claims.sessionId)
      return session ?? (yield* refused)
    })

    return Authorization.of({
      bearer: Effect.fnUntraced(function* (httpEffect, { credential, endpoint }) {
        const found = byToken(Redacted.value(credential))
        const session = yield* Context.get(endpoint.annotations, AllowsRefreshCookie) ? Effect.catch(found, byCookie) : found
        if (session.isRecovery && !Context.get(endpoint.annotations, AllowsRecovery)) {
          return yield* new ReauthenticationRequired()
        }
        if (endpoint.payload.size === 0 && endpoint.method !== "GET") yield* rejectUnexpectedBody
        const ended = sessions.ended(session.userId, session.sessionId)
        // Added one by one: a merge would copy every service of the process for each request.
        return yield* httpEffect.pipe(Effect.provideService(CurrentUser, session), Effect.provideService(SessionEnded, ended))
      })
    })
  })
)
