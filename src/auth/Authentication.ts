import { Effect } from "effect"
import { ReauthenticationRequired, Unauthenticated } from "../api/auth/AuthErrors.ts"
import { ApiKeys } from "./ApiKeys.ts"
import { isKeyLike } from "./KeyFormat.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"

const unknownKey = new Unauthenticated({ code: "token_invalid", detail: "The API key is unknown, or has ended" })

/** The session of an access token, or of an API key, which is its user's session with `isKey`. */
export const makeAuthenticateToken = Effect.gen(function* () {
  const apiKeys = yield* ApiKeys
  const tokens = yield* Tokens
  const sessions = yield* Sessions

  const byKey = Effect.fnUntraced(function* (key: string) {
    const owner = yield* apiKeys.ownerOf(key)
    if (owner === undefined) return yield* unknownKey
    const session = yield* sessions.find(owner.userId, owner.keyId)
    if (session === undefined) return yield* unknownKey
    yield* apiKeys.recordUse(owner)
    return session
  })

  return Effect.fnUntraced(function* (token: string) {
    if (token === "") return yield* Unauthenticated.because("unauthenticated")
    if (isKeyLike(token)) return yield* byKey(token)
    const claims = yield* tokens.verify(token)
    return (yield* sessions.find(claims.sub, claims.sid)) ?? (yield* Unauthenticated.because("session_revoked"))
  })
})

/** The user of a request to a route that only some deployments protect, by its `Authorization` header. */
export const makeAuthenticate = Effect.map(makeAuthenticateToken, (authenticateToken) =>
  Effect.fnUntraced(function* (authorization: string | undefined) {
    const session = yield* authenticateToken(/^Bearer +(.*)$/i.exec(authorization ?? "")?.[1] ?? "")
    return session.isRecovery ? yield* new ReauthenticationRequired() : session
  })
)
