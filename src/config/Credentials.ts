import { Effect, Option, Redacted } from "effect"
import { choice, fail, items, secret, string, url } from "./Reading.ts"

export type Environment = "development" | "test" | "production"

const deliveries = ["response", "log", "webhook", "none"] as const
export type Delivery = (typeof deliveries)[number]

export interface JwtKey {
  readonly kid: string
  readonly secret: Redacted.Redacted<Uint8Array>
}

export interface OtpWebhook {
  /** Redacted because gateways put tokens into paths and queries. */
  readonly url: Redacted.Redacted
  /** The key of the signatures, as it stands. */
  readonly secret: Redacted.Redacted
}

export interface BillingSettings {
  readonly secretKey: Redacted.Redacted
  /** Several while one is being rolled. */
  readonly webhookSecrets: ReadonlyArray<Redacted.Redacted>
  /** The first is sold; the others count as Pro, too, for those who subscribed when they were. */
  readonly proPriceIds: readonly [string, ...Array<string>]
  readonly apiBase: string | undefined
  /** Whether the key is for real money; events of the other mode are none of ours. */
  readonly isLive: boolean
}

/** Secrets that stand in tutorials and templates: no better than none. */
const knownSecrets = /^(?:secret|changeme|password|your[-_ ]?(?:jwt|256|secret)|supersecret|a-string-secret|test|(.)\1+$)/is

/**
 * A key is told of by its place: what stands where its name should be may be the secret. One may come without a
 * name, as a platform generates it; with a named one before it, it can still be rotated.
 */
const jwtKey = Effect.fnUntraced(function* (entry: string, index: number) {
  const [, kid = "default", encoded] = /^(?:([\w-]{1,32}):)?([A-Za-z\d+/_-]+={0,2})$/.exec(entry) ?? []
  if (encoded === undefined) return yield* fail("JWT_KEYS", "must be base64 or kid:base64[,kid:base64]")
  const bytes = Buffer.from(encoded, "base64")
  if (bytes.length < 32) return yield* fail("JWT_KEYS", `key ${index + 1} must have at least 32 bytes of base64`)
  if (knownSecrets.test(bytes.toString("latin1"))) return yield* fail("JWT_KEYS", `key ${index + 1} is a well-known secret`)
  return { kid, secret: Redacted.make(new Uint8Array(bytes), { label: "JWT_KEYS" }) }
})

/** Outside production a process without keys makes its own: its tokens end with it. */
const ephemeralKeys = () => `ephemeral:${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`

export const jwtKeys = Effect.fnUntraced(function* (environment: Environment) {
  const configured = yield* secret("JWT_KEYS")
  if (Option.isNone(configured) && environment === "production") {
    return yield* fail("JWT_KEYS", "is required (kid:base64, 32 bytes or more)")
  }
  const text = Option.match(configured, { onNone: ephemeralKeys, onSome: Redacted.value })
  const keys = yield* Effect.forEach(text.split(","), (entry, index) => jwtKey(entry.trim(), index))
  if (new Set(keys.map((key) => key.kid)).size < keys.length) return yield* fail("JWT_KEYS", "has two keys of one name")
  const [first, ...others] = keys
  return first === undefined ? yield* fail("JWT_KEYS", "is empty") : ([first, ...others] as const)
})

export const otpDelivery = Effect.fnUntraced(function* (environment: Environment) {
  const delivery = yield* choice("OTP_DELIVERY", deliveries)
  if (environment !== "production") return Option.getOrElse(delivery, () => "response" as const)
  if (Option.isNone(delivery)) return yield* fail("OTP_DELIVERY", `is required in production (${deliveries.join(", ")})`)
  const demo = yield* string("OTP_DEMO_MODE")
  const stripe = yield* secret("STRIPE_SECRET_KEY")
  if (delivery.value === "response") {
    if (Option.getOrUndefined(demo) !== "anyone-can-log-in") {
      return yield* fail("OTP_DELIVERY", "response in production also needs OTP_DEMO_MODE=anyone-can-log-in")
    }
    if (Option.isSome(stripe) && /_live_/.test(Redacted.value(stripe.value))) {
      return yield* fail("OTP_DELIVERY", "response is refused beside a live Stripe key")
    }
  }
  return delivery.value
})

export const otpWebhook = Effect.fnUntraced(function* (environment: Environment, delivery: Delivery) {
  const target = yield* secret("OTP_WEBHOOK_URL")
  // `none` is the contract's word for a sender of one's own, which a gateway is, too.
  if (delivery !== "webhook" && (delivery !== "none" || Option.isNone(target))) return undefined
  if (Option.isNone(target)) return yield* fail("OTP_WEBHOOK_URL", "is required with OTP_DELIVERY=webhook")
  const text = Redacted.value(target.value)
  yield* url("OTP_WEBHOOK_URL", text, environment === "production" ? ["https:"] : ["https:", "http:"])
  const { password, username } = new URL(text)
  if (username !== "" || password !== "") return yield* fail("OTP_WEBHOOK_URL", "must hold no user name and no password")
  const key = yield* secret("OTP_WEBHOOK_SECRET")
  if (Option.isNone(key)) return yield* fail("OTP_WEBHOOK_SECRET", "is required with OTP_WEBHOOK_URL")
  const value = Redacted.value(key.value)
  if (Buffer.byteLength(value) < 32) return yield* fail("OTP_WEBHOOK_SECRET", "must have at least 32 bytes")
  if (knownSecrets.test(value)) return yield* fail("OTP_WEBHOOK_SECRET", "is a well-known secret")
  return { url: target.value, secret: key.value }
})

export const gemini = Effect.fnUntraced(function* (environment: Environment) {
  const apiKey = yield* secret("GEMINI_API_KEY")
  const baseUrl = yield* string("GEMINI_BASE_URL")
  if (Option.isNone(apiKey) && environment === "production") return yield* fail("GEMINI_API_KEY", "is required")
  const model = Option.getOrElse(yield* string("GEMINI_MODEL"), () => "gemini-3.8-flash")
  if (!/^[a-z0-9.-]{1,100}$/.test(model)) return yield* fail("GEMINI_MODEL", "must be a model name of [a-z0-9.-]")
  return {
    apiKey: Option.getOrElse(apiKey, () => Redacted.make("unset")),
    model,
    baseUrl: Option.isSome(baseUrl) ? yield* url("GEMINI_BASE_URL", baseUrl.value, ["http:", "https:"]) : undefined,
    apiVersion: Option.getOrElse(yield* string("GEMINI_API_VERSION"), () => "v1beta")
  }
})

export const billing = Effect.fnUntraced(function* (environment: Environment) {
  const key = yield* secret("STRIPE_SECRET_KEY")
  const isOff = Option.getOrUndefined(yield* choice("BILLING", ["on", "off"])) === "off"
  if (isOff || (Option.isNone(key) && environment !== "production")) return undefined
  if (Option.isNone(key)) return yield* fail("STRIPE_SECRET_KEY", "is required (or BILLING=off)")
  const mode = /^[sr]k_(test|live)_\w+$/.exec(Redacted.value(key.value))?.[1]
  if (mode === undefined) return yield* fail("STRIPE_SECRET_KEY", "must start with sk_test_ or sk_live_")
  if (mode === "live" && environment !== "production")
    return yield* fail("STRIPE_SECRET_KEY", "is live: that needs APP_ENV=production")
  const configured = Option.map(yield* secret("STRIPE_WEBHOOK_SECRETS"), Redacted.value)
  const secrets = items(Option.getOrElse(configured, () => ""))
  if (secrets.length === 0) return yield* fail("STRIPE_WEBHOOK_SECRETS", "is required (or BILLING=off)")
  if (!secrets.every((text) => /^whsec_\S+$/.test(text)))
    return yield* fail("STRIPE_WEBHOOK_SECRETS", "must each start with whsec_")
  const prices = yield* string("STRIPE_PRO_PRICE_ID")
  if (Option.isNone(prices)) return yield* fail("STRIPE_PRO_PRICE_ID", "is required (or BILLING=off)")
  const [sold = "", ...others] = prices.value.split(",").map((text) => text.trim())
  if (sold === "" || others.includes("")) return yield* fail("STRIPE_PRO_PRICE_ID", "must be one price or several with commas")
  const apiBase = yield* string("STRIPE_API_BASE")
  return {
    secretKey: key.value,
    webhookSecrets: secrets.map((text) => Redacted.make(text, { label: "STRIPE_WEBHOOK_SECRETS" })),
    proPriceIds: [sold, ...others] as const,
    apiBase: Option.isSome(apiBase) ? yield* url("STRIPE_API_BASE", apiBase.value, ["http:", "https:"]) : undefined,
    isLive: mode === "live"
  }
})
