import { Effect, Redacted } from "effect"
import { choice, fail, items, optional, optionalChoice, optionalSecret, optionalUrl, text, url } from "./Reading.ts"

export type Environment = "development" | "test" | "production"

const deliveries = ["response", "log", "webhook", "none"] as const
export type Delivery = (typeof deliveries)[number]

export interface JwtKey {
  readonly kid: string
  readonly secret: Redacted.Redacted<Uint8Array>
}

/** A service of the operator's that gets signed posts. */
export interface Gateway {
  /** Redacted, because a gateway's URL may contain a token. */
  readonly url: Redacted.Redacted
  /** The key of the signatures, used as it is written (not base64). */
  readonly secret: Redacted.Redacted
}

/** A bucket of an S3-compatible service. */
export interface Bucket {
  /** Without a trailing slash. */
  readonly endpoint: string
  readonly name: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
}

export interface BillingSettings {
  readonly secretKey: Redacted.Redacted
  /** Two while the secret is being rolled. */
  readonly webhookSecrets: ReadonlyArray<Redacted.Redacted>
  readonly apiBase: string | undefined
  /** Whether checkouts collect tax. */
  readonly collectsTax: boolean
  /** Whether the key is for live mode. Events of the other mode are ignored. */
  readonly isLive: boolean
}

/** Secrets from tutorials and templates. */
const knownSecrets = /^(?:secret|changeme|password|your[-_ ]?(?:jwt|256|secret)|supersecret|a-string-secret|test|(.)\1+$)/is

/** Distinct bytes that a key must have: 32 random ones have 30, text in base64 or hexadecimal at least 10. */
const minimumVariety = 10

/** Whether a key is typed, not generated: few different bytes, or one short text again and again. */
const isRepetitive = (bytes: Buffer): boolean => {
  const repeats = (period: number) => bytes.every((byte, index) => byte === bytes[index % period])
  return new Set(bytes).size < minimumVariety || Array.from({ length: 16 }, (_, index) => index + 1).some(repeats)
}

/** Characters that a secret in production must have after its prefix. */
const minimumSecret = 16

/** The tokens of operators: two while the token is being replaced. In production a short one is refused, because it could be guessed. */
export const adminTokens = Effect.fnUntraced(function* (environment: Environment) {
  const list = yield* optionalSecret("ADMIN_TOKEN")
  const tokens = items(list === undefined ? "" : Redacted.value(list))
  return environment === "production" && tokens.some((token) => token.length < minimumSecret)
    ? yield* fail("ADMIN_TOKEN", `must have at least ${minimumSecret} characters in production`)
    : tokens.map((token) => Redacted.make(token))
})

/**
 * Errors name a key by its position, because the text before the colon may be the secret. A key without a name, as
 * platforms generate it, gets the kid `default`.
 */
const jwtKey = Effect.fnUntraced(function* (entry: string, index: number) {
  const [, kid = "default", encoded] = /^(?:([\w-]{1,32}):)?([A-Za-z\d+/_-]+={0,2})$/.exec(entry) ?? []
  if (encoded === undefined) return yield* fail("JWT_KEYS", "must be base64 or kid:base64[,kid:base64]")
  const bytes = Buffer.from(encoded, "base64")
  if (bytes.length < 32) return yield* fail("JWT_KEYS", `key ${index + 1} must have at least 32 bytes of base64`)
  if (knownSecrets.test(bytes.toString("latin1"))) return yield* fail("JWT_KEYS", `key ${index + 1} is a well-known secret`)
  if (isRepetitive(bytes)) return yield* fail("JWT_KEYS", `key ${index + 1} must be random (openssl rand -base64 32)`)
  return { kid, secret: Redacted.make(new Uint8Array(bytes), { label: "JWT_KEYS" }) }
})

/** Outside production a process without keys generates one. Its tokens are valid until the process ends. */
const ephemeralKeys = () => `ephemeral:${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`

export const jwtKeys = Effect.fnUntraced(function* (environment: Environment) {
  const configured = yield* optionalSecret("JWT_KEYS")
  if (configured === undefined && environment === "production") {
    return yield* fail("JWT_KEYS", "is required (kid:base64, 32 bytes or more: openssl rand -base64 32)")
  }
  const list = configured === undefined ? ephemeralKeys() : Redacted.value(configured)
  const keys = yield* Effect.forEach(list.split(","), (entry, index) => jwtKey(entry.trim(), index))
  if (new Set(keys.map((key) => key.kid)).size < keys.length) return yield* fail("JWT_KEYS", "has two keys with the same name")
  const [first, ...others] = keys
  return first === undefined ? yield* fail("JWT_KEYS", "is empty") : ([first, ...others] as const)
})

export const otpDelivery = Effect.fnUntraced(function* (environment: Environment) {
  const delivery = yield* optionalChoice("OTP_DELIVERY", deliveries)
  if (environment !== "production") return delivery ?? "response"
  if (delivery === undefined) return yield* fail("OTP_DELIVERY", `is required in production (${deliveries.join(", ")})`)
  if (delivery !== "response") return delivery
  if ((yield* optional("OTP_DEMO_MODE")) !== "anyone-can-log-in") {
    return yield* fail("OTP_DELIVERY", "response in production also needs OTP_DEMO_MODE=anyone-can-log-in")
  }
  const stripeKey = yield* optionalSecret("STRIPE_SECRET_KEY")
  if (stripeKey !== undefined && /_live_/.test(Redacted.value(stripeKey))) {
    return yield* fail("OTP_DELIVERY", "must not be response with a live Stripe key")
  }
  return delivery
})

/** The gateway with this URL, whose secret is required. */
const gatewayAt = Effect.fnUntraced(function* (
  environment: Environment,
  target: Redacted.Redacted,
  urlName: "OTP_WEBHOOK_URL" | "MODERATION_URL",
  secretName: "OTP_WEBHOOK_SECRET" | "MODERATION_SECRET"
) {
  const address = Redacted.value(target)
  yield* url(urlName, address, environment === "production" ? ["https:"] : ["https:", "http:"])
  const { password, username } = new URL(address)
  if (username !== "" || password !== "") return yield* fail(urlName, "must not contain a user name or a password")
  const secret = yield* optionalSecret(secretName)
  if (secret === undefined) return yield* fail(secretName, `is required with ${urlName}`)
  if (Buffer.byteLength(Redacted.value(secret)) < 32) return yield* fail(secretName, "must have at least 32 bytes")
  if (knownSecrets.test(Redacted.value(secret))) return yield* fail(secretName, "is a well-known secret")
  return { url: target, secret }
})

export const otpWebhook = Effect.fnUntraced(function* (environment: Environment, delivery: Delivery) {
  const target = yield* optionalSecret("OTP_WEBHOOK_URL")
  // `none` means a sender of the operator's own. A gateway is one, too.
  if (delivery !== "webhook" && (delivery !== "none" || target === undefined)) return undefined
  if (target === undefined) return yield* fail("OTP_WEBHOOK_URL", "is required with OTP_DELIVERY=webhook")
  return yield* gatewayAt(environment, target, "OTP_WEBHOOK_URL", "OTP_WEBHOOK_SECRET")
})

/** Undefined when texts are not moderated. */
export const moderation = Effect.fnUntraced(function* (environment: Environment) {
  const target = yield* optionalSecret("MODERATION_URL")
  const fail = yield* choice("MODERATION_FAIL", ["closed", "open"])
  return target === undefined
    ? undefined
    : { fail, gateway: yield* gatewayAt(environment, target, "MODERATION_URL", "MODERATION_SECRET") }
})

export const gemini = Effect.fnUntraced(function* (environment: Environment) {
  const apiKey = yield* optionalSecret("GEMINI_API_KEY")
  if (apiKey === undefined && environment === "production") return yield* fail("GEMINI_API_KEY", "is required")
  return {
    apiKey: apiKey ?? Redacted.make("unset"),
    baseUrl: yield* optionalUrl("GEMINI_BASE_URL", ["http:", "https:"]),
    apiVersion: yield* text("GEMINI_API_VERSION"),
    safetyThreshold: yield* choice("SAFETY_THRESHOLD", ["default", "off", "high", "medium", "low"])
  }
})

const requiredWithS3 = Effect.fnUntraced(function* (name: "S3_BUCKET" | "S3_ACCESS_KEY_ID" | "S3_SECRET_ACCESS_KEY") {
  const value = yield* optionalSecret(name)
  return value === undefined ? yield* fail(name, "is required with S3_ENDPOINT") : value
})

/** Undefined when Postgres keeps the files. */
export const bucket = Effect.fnUntraced(function* (environment: Environment) {
  const endpoint = yield* optionalUrl("S3_ENDPOINT", environment === "production" ? ["https:"] : ["https:", "http:"])
  const region = yield* text("S3_REGION")
  if (endpoint === undefined) return undefined
  const name = Redacted.value(yield* requiredWithS3("S3_BUCKET"))
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return yield* fail("S3_BUCKET", "must be the name of a bucket")
  const accessKeyId = Redacted.value(yield* requiredWithS3("S3_ACCESS_KEY_ID"))
  return { endpoint, name, region, accessKeyId, secretAccessKey: yield* requiredWithS3("S3_SECRET_ACCESS_KEY") }
})

/** Whether the settings of Stripe are needed. */
export const isBillingOn = Effect.fnUntraced(function* (environment: Environment) {
  if ((yield* choice("BILLING", ["on", "off"])) === "off") return false
  return environment === "production" || (yield* optionalSecret("STRIPE_SECRET_KEY")) !== undefined
})

export const billing = Effect.fnUntraced(function* (environment: Environment) {
  if (!(yield* isBillingOn(environment))) return undefined
  const secretKey = yield* optionalSecret("STRIPE_SECRET_KEY")
  if (secretKey === undefined) return yield* fail("STRIPE_SECRET_KEY", "is required (or BILLING=off)")
  const mode = /^[sr]k_(test|live)_\w+$/.exec(Redacted.value(secretKey))?.[1]
  if (mode === undefined) return yield* fail("STRIPE_SECRET_KEY", "must start with sk_test_ or sk_live_")
  if (mode === "live" && environment !== "production") {
    return yield* fail("STRIPE_SECRET_KEY", "is a live key, which needs APP_ENV=production")
  }
  return {
    secretKey,
    webhookSecrets: yield* webhookSecrets(environment),
    apiBase: yield* optionalUrl("STRIPE_API_BASE", ["http:", "https:"]),
    collectsTax: (yield* choice("STRIPE_TAX", ["off", "on"])) === "on",
    isLive: mode === "live"
  }
})

export const webhookSecrets = Effect.fnUntraced(function* (environment: Environment) {
  const configured = yield* optionalSecret("STRIPE_WEBHOOK_SECRETS")
  const secrets = configured === undefined ? [] : items(Redacted.value(configured))
  if (secrets.length === 0) return yield* fail("STRIPE_WEBHOOK_SECRETS", "is required (or BILLING=off)")
  if (!secrets.every((secret) => /^whsec_\S+$/.test(secret))) {
    return yield* fail("STRIPE_WEBHOOK_SECRETS", "must each start with whsec_")
  }
  if (environment === "production" && secrets.some((secret) => secret.length < "whsec_".length + minimumSecret)) {
    return yield* fail("STRIPE_WEBHOOK_SECRETS", `must each have at least ${minimumSecret} characters after whsec_ in production`)
  }
  return secrets.map((secret) => Redacted.make(secret, { label: "STRIPE_WEBHOOK_SECRETS" }))
})
