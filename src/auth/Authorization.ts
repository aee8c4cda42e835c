import { Context, Effect, Layer, Redacted } from "effect"
import { AllowsRecovery } from "../api/Annotations.ts"
import { rejectUnexpectedBody } from "../http/RequestGuard.ts"
import { Authorization, CurrentUser } from "../api/auth/AuthApi.ts"
import { ReauthenticationRequired, Unauthenticated } from "../api/auth/AuthErrors.ts"
import { SessionEnded } from "../ops/RequestSlot.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"

export const AuthorizationLayer = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const tokens = yield* Tokens
    const sessions = yield* Sessions

    return Authorization.of({
      bearer: Effect.fnUntraced(function* (httpEffect, { credential, endpoint }) {
        const token = Redacted.value(credential)
        if (token === "") return yield* Unauthenticated.because("unauthenticated")
        const claims = yield* tokens.verify(token)
        const session = yield* sessions.find(claims.sub, claims.sid)
        if (session === undefined) return yield* Unauthenticated.because("session_revoked")
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
