import { Effect } from "effect"
import { ReauthenticationRequired, Unauthenticated } from "../api/auth/AuthErrors.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"

/** The session of an access token. */
export const makeAuthenticateToken = Effect.gen(function* () {
  const tokens = yield* Tokens
  const sessions = yield* Sessions

  return Effect.fnUntraced(function* (token: string) {
    if (token === "") return yield* Unauthenticated.because("unauthenticated")
    const claims = yield* tokens.verify(token)
    const session: CurrentSession | undefined = yield* sessions.find(claims.sub, claims.sid)
    return session ?? (yield* Unauthenticated.because("session_revoked"))
  })
})

/** The user of a request to a route that only some deployments protect, by its `Authorization` header. */
export const makeAuthenticate = Effect.map(makeAuthenticateToken, (authenticateToken) =>
  Effect.fnUntraced(function* (authorization: string | undefined) {
    const session = yield* authenticateToken(/^Bearer +(.*)$/i.exec(authorization ?? "")?.[1] ?? "")
    return session.isRecovery ? yield* new ReauthenticationRequired() : session
  })
)
