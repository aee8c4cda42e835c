import { Effect } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { Sessions } from "./Sessions.ts"
import { Tokens } from "./Tokens.ts"

const scheme = "Bearer "

/**
 * The caller that `Authorization` would let through, when the token and the session are in memory; undefined for any other
 * caller, for recovery sessions and for unusual spellings of the header, which `Authorization` decides.
 */
export const makeCachedCaller = Effect.gen(function* () {
  const tokens = yield* Tokens
  const sessions = yield* Sessions

  return (authorization: string | undefined): CurrentSession | undefined => {
    if (authorization?.startsWith(scheme) !== true) return undefined
    const claims = tokens.peek(authorization.slice(scheme.length))
    const session = claims === undefined ? undefined : sessions.peek(claims.sub, claims.sid)
    return session?.isRecovery === false ? session : undefined
  }
})
