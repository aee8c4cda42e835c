import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { fail, optionalSecret } from "./Reading.ts"
import { isKnownSecret, isRepetitive } from "./Secrets.ts"

/** A key that signs tokens, codes and cursors. */
export interface JwtKey {
  readonly kid: string
  readonly secret: Redacted.Redacted<Uint8Array>
}

/**
 * Errors name a key by its position, because the text before the colon may be the secret. A key without a name, as
 * platforms generate it, gets the kid `default`.
 */
const jwtKey = Effect.fnUntraced(function* (environment: Environment, entry: string, index: number) {
  const [, kid = "default", encoded] = /^(?:([\w-]{1,32}):)?([A-Za-z\d+/_-]+={0,2})$/.exec(entry) ?? []
  if (encoded === undefined) return yield* fail("JWT_KEYS", "must be base64 or kid:base64[,kid:base64]")
  const bytes = Buffer.from(encoded, "base64")
  if (bytes.length < 32) return yield* fail("JWT_KEYS", `key ${index + 1} must have at least 32 bytes of base64`)
  if (environment === "production" && isKnownSecret(bytes.toString("latin1")))
    return yield* fail("JWT_KEYS", `key ${index + 1} is a well-known secret`)
  if (environment === "production" && isRepetitive(bytes))
    return yield* fail("JWT_KEYS", `key ${index + 1} must be random (openssl rand -base64 32)`)
  return { kid, secret: Redacted.make(new Uint8Array(bytes), { label: "JWT_KEYS" }) }
})

/** Outside production a process without keys generates one. Its tokens are valid until the process ends. */
const ephemeralKeys = () => `ephemeral:${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`

/** The keys: the first one signs, and all are accepted. */
export const jwtKeys = Effect.fnUntraced(function* (environment: Environment) {
  const configured = yield* optionalSecret("JWT_KEYS")
  if (configured === undefined && environment === "production") {
    return yield* fail("JWT_KEYS", "is required (kid:base64, 32 bytes or more: openssl rand -base64 32)")
  }
  const list = configured === undefined ? ephemeralKeys() : Redacted.value(configured)
  const keys = yield* Effect.forEach(list.split(","), (entry, index) => jwtKey(environment, entry.trim(), index))
  if (new Set(keys.map((key) => key.kid)).size < keys.length) return yield* fail("JWT_KEYS", "has two keys with the same name")
  const [first, ...others] = keys
  return first === undefined ? yield* fail("JWT_KEYS", "is empty") : ([first, ...others] as const)
})
