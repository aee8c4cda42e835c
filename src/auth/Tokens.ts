import { Clock, Context, Effect, Layer, Redacted, Schema } from "effect"
import { errors, importJWK, jwtVerify, SignJWT } from "jose"
import { LRUCache } from "lru-cache"
import { AppConfig } from "../config/Settings.ts"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import { Keys } from "../keys/Keys.ts"
import { cacheLookups } from "../ops/Metrics.ts"
import { SessionId, UserId } from "../api/auth/User.ts"

const Claims = Schema.Struct({ sub: UserId, sid: SessionId, iat: Schema.Int, exp: Schema.Int })
export type Claims = Pick<typeof Claims.Type, "sub" | "sid" | "exp">

export interface RefreshClaims {
  readonly userId: UserId
  readonly sessionId: SessionId
  readonly counter: number
}

const refreshBody = /^([\da-f-]{36})\.([\da-f-]{36})\.(\d{1,9})$/

const issuer = "chat-backend"
const audience = "chat-backend-api"
/** Seconds that the clocks of two processes may differ. */
const clockSkew = 60
/** A longer text cannot be a token of this server. */
const maximumLength = 4096

/** Access tokens (JWT, HS256, RFC 9068's `at+jwt`) and refresh tokens (session id, counter, MAC). */
export class Tokens extends Context.Service<
  Tokens,
  {
    /** Seconds an access token lives. */
    readonly ttl: number
    readonly sign: (userId: UserId, sessionId: SessionId, seconds: number) => Effect.Effect<string>
    /** The claims of a token that was proved before and has not expired; undefined for any other. */
    readonly peek: (token: string) => Claims | undefined
    /** Proves signature and claims, not that the session is still alive. */
    readonly verify: (token: string) => Effect.Effect<Claims, Unauthenticated>
    readonly refreshToken: (userId: UserId, sessionId: SessionId, counter: number) => string
    /** What a refresh token names, once its MAC is proved. */
    readonly readRefreshToken: (token: string) => RefreshClaims | undefined
  }
>()("chat-backend/auth/Tokens") {
  static readonly layer = Layer.effect(
    Tokens,
    Effect.gen(function* () {
      const { jwtKeys, jwtTtl } = yield* AppConfig
      const macs = yield* Keys
      const imported = yield* Effect.forEach(jwtKeys, ({ kid, secret }) =>
        Effect.map(
          // An imported CryptoKey: with raw bytes jose would import them again at every call.
          Effect.promise(() => importJWK({ kty: "oct", k: Buffer.from(Redacted.value(secret)).toString("base64url") }, "HS256")),
          (key) => [kid, key] as const
        )
      )
      const byKid = new Map(imported)
      const [kid] = jwtKeys.map((key) => key.kid)
      const signingKey = imported[0]?.[1]
      if (kid === undefined || signingKey === undefined) return yield* Effect.die("no signing key")
      const verified = new LRUCache<string, Claims>({ max: 20_000 })
      const decode = Schema.decodeUnknownEffect(Claims)

      const sign = (userId: UserId, sessionId: SessionId, seconds: number) =>
        Effect.promise(() =>
          new SignJWT({ sid: sessionId })
            .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid })
            .setIssuer(issuer)
            .setAudience(audience)
            .setSubject(userId)
            .setJti(crypto.randomUUID())
            .setIssuedAt()
            .setExpirationTime(`${seconds}s`)
            .sign(signingKey)
        )

      const prove = (token: string) =>
        Effect.tryPromise({
          try: () =>
            jwtVerify(
              token,
              (header) => {
                const key = byKid.get(header.kid ?? "")
                if (key === undefined) throw new errors.JWKSNoMatchingKey()
                return key
              },
              {
                algorithms: ["HS256"],
                typ: "at+jwt",
                issuer,
                audience,
                requiredClaims: ["sub", "sid", "jti", "iat", "exp"],
                clockTolerance: 5
              }
            ),
          catch: (error) => Unauthenticated.because(error instanceof errors.JWTExpired ? "token_expired" : "token_invalid")
        })

      const lookups = yield* cacheLookups("tokens")
      const peek = (token: string) => {
        const claims = verified.get(token)
        if (claims !== undefined) lookups.hit.add(1)
        return claims
      }

      const verify = Effect.fnUntraced(function* (token: string) {
        const known = peek(token)
        if (known !== undefined) return known
        lookups.miss.add(1)
        if (token.length > maximumLength) return yield* Unauthenticated.because("token_invalid")
        const { payload } = yield* prove(token)
        const claims = yield* decode(payload).pipe(Effect.mapError(() => Unauthenticated.because("token_invalid")))
        const now = yield* Clock.currentTimeMillis
        // An older token than any that is issued now: the lifetime was shortened.
        if (claims.iat + jwtTtl + clockSkew < now / 1000) return yield* Unauthenticated.because("token_expired")
        if (claims.iat - clockSkew > now / 1000) return yield* Unauthenticated.because("token_invalid")
        verified.set(token, claims, { ttl: Math.max(1, claims.exp * 1000 - now) })
        return claims
      })

      const encodeBody = (body: string) => Buffer.from(body).toString("base64url")
      const refreshToken = (userId: UserId, sessionId: SessionId, counter: number) => {
        const body = `${userId}.${sessionId}.${counter}`
        return `${encodeBody(body)}.${macs.mac("refresh", body)}`
      }

      const readRefreshToken = (token: string) => {
        const [encoded = "", mac = "", ...more] = token.split(".")
        const body = Buffer.from(encoded, "base64url").toString("latin1")
        // Decoding passes over what is no base64url, and a token has only the one spelling it was given out in.
        if (more.length > 0 || encodeBody(body) !== encoded) return undefined
        const [, userId, sessionId, counter] = refreshBody.exec(body) ?? []
        if (userId === undefined || sessionId === undefined || !macs.verify("refresh", body, mac)) return undefined
        return { userId: UserId.make(userId), sessionId: SessionId.make(sessionId), counter: Number(counter) }
      }

      return Tokens.of({ ttl: jwtTtl, sign, peek, verify, refreshToken, readRefreshToken })
    })
  )
}
