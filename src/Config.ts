import type { BlockList } from "node:net"
import { Config, Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { parseProxies } from "./auth/ClientAddress.ts"
import { integerFromText } from "./Text.ts"
import type { VariableName } from "./Variables.ts"

const Environment = Schema.Literals(["development", "test", "production"])
const deliveries = ["response", "log", "webhook", "none"] as const

export type Environment = typeof Environment.Type
export type Role = "all" | "api" | "worker"
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

/** Every setting of the process, read once. Their names and meanings are in Variables.ts. */
export interface Settings {
  readonly environment: Environment
  readonly role: Role
  readonly host: string
  readonly port: number
  readonly databaseUrl: Redacted.Redacted
  /** A session connection for LISTEN, the queue, migrations and advisory locks. */
  readonly databaseDirectUrl: Redacted.Redacted
  readonly migrate: boolean
  readonly jwtKeys: readonly [JwtKey, ...Array<JwtKey>]
  /** Seconds an access token lives. */
  readonly jwtTtl: number
  readonly otpDelivery: (typeof deliveries)[number]
  /** Where codes are posted to, if anywhere. */
  readonly otpWebhook: OtpWebhook | undefined
  /** Whether numbers can log in with a password, too. */
  readonly passwordLogin: boolean
  readonly gemini: {
    readonly apiKey: Redacted.Redacted
    readonly model: string
    readonly baseUrl: string | undefined
    readonly apiVersion: string
  }
  /** Undefined with `BILLING=off`, and outside production without a key. */
  readonly billing: BillingSettings | undefined
  /** Public base URL for links, without a trailing slash. */
  readonly appUrl: string
  readonly basicDailyPrompts: number
  /** 0 is unlimited. */
  readonly proDailyPrompts: number
  readonly workerConcurrency: number
  /** Requests a process works on at once; past it they are refused with 503 `overloaded`. */
  readonly requestConcurrency: number
  readonly corsOrigins: ReadonlyArray<string>
  /** Whose forwarded addresses are believed. */
  readonly trustedProxies: BlockList
  readonly apiPrefix: string | undefined
  /** Opens /metrics and /admin; without it they are not there. */
  readonly adminToken: Redacted.Redacted | undefined
  /** An OpenTelemetry collector's base URL; without it nothing is traced. */
  readonly otlpEndpoint: string | undefined
  readonly logLevel: "Trace" | "Debug" | "Info" | "Warn" | "Error" | "Fatal" | "None"
}

/** A setting that is missing or cannot be used. The start ends with its one line. */
export class SettingError extends Schema.TaggedError<SettingError>()("SettingError", {
  setting: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `${this.setting}: ${this.problem}`
  }
}

const fail = (setting: VariableName, problem: string) => Effect.fail(new SettingError({ setting, problem }))

/** Reads one name; a value that does not fit is reported by the name alone, so no secret can be printed. */
const read = <A>(name: VariableName, config: Config.Config<A>, expected: string) =>
  config.pipe(Effect.mapError(() => new SettingError({ setting: name, problem: `must be ${expected}` })))

const string = (name: VariableName) => read(name, Config.String(name).pipe(Config.option), "text")
const secret = (name: VariableName) => read(name, Config.Redacted(name).pipe(Config.option), "text")

const integer = (name: VariableName, minimum: number, maximum: number, fallback: number) =>
  read(
    name,
    Config.schema(integerFromText(minimum, maximum), name).pipe(Config.withDefault(fallback)),
    `a whole number from ${minimum} to ${maximum}`
  )

const choice = <const L extends ReadonlyArray<string>>(name: VariableName, choices: L) =>
  read(name, Config.Literals(choices, name).pipe(Config.option), `one of ${choices.join(", ")}`)

const url = (name: VariableName, value: string, protocols: ReadonlyArray<string>) =>
  URL.canParse(value) && protocols.includes(new URL(value).protocol)
    ? Effect.succeed(value.replace(/\/+$/, ""))
    : fail(name, `must be a URL starting with ${protocols.map((p) => `${p}//`).join(" or ")}`)

const databaseUrl = (name: VariableName, value: Redacted.Redacted) =>
  Effect.as(url(name, Redacted.value(value), ["postgres:", "postgresql:"]), value)

/** Secrets that stand in tutorials and templates: no better than none. */
const knownSecrets = /^(?:secret|changeme|password|your[-_ ]?(?:jwt|256|secret)|supersecret|test|(.)\1+$)/is

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

const jwtKeys = Effect.fnUntraced(function* (environment: Environment) {
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

const otpDelivery = Effect.fnUntraced(function* (environment: Environment) {
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

const otpWebhook = Effect.fnUntraced(function* (environment: Environment, delivery: Settings["otpDelivery"]) {
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

const gemini = Effect.fnUntraced(function* (environment: Environment) {
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

const billing = Effect.fnUntraced(function* (environment: Environment) {
  const key = yield* secret("STRIPE_SECRET_KEY")
  const isOff = Option.getOrUndefined(yield* choice("BILLING", ["on", "off"])) === "off"
  if (isOff || (Option.isNone(key) && environment !== "production")) return undefined
  if (Option.isNone(key)) return yield* fail("STRIPE_SECRET_KEY", "is required (or BILLING=off)")
  const mode = /^[sr]k_(test|live)_\w+$/.exec(Redacted.value(key.value))?.[1]
  if (mode === undefined) return yield* fail("STRIPE_SECRET_KEY", "must start with sk_test_ or sk_live_")
  if (mode === "live" && environment !== "production")
    return yield* fail("STRIPE_SECRET_KEY", "is live: that needs APP_ENV=production")
  const secrets = Option.map(yield* secret("STRIPE_WEBHOOK_SECRETS"), Redacted.value)
    .pipe(Option.getOrElse(() => ""))
    .split(",")
    .map((text) => text.trim())
    .filter((text) => text !== "")
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

const logLevel = Effect.map(choice("LOG_LEVEL", ["trace", "debug", "info", "warn", "error", "fatal", "none"]), (level) => {
  const name = Option.getOrElse(level, () => "info")
  return (name.charAt(0).toUpperCase() + name.slice(1)) as Settings["logLevel"]
})

/** Browsers send an origin without a path, and it is compared as it stands. */
const corsOrigins = Effect.gen(function* () {
  const list = Option.getOrElse(yield* string("CORS_ORIGINS"), () => "")
  const origins = list
    .split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "")
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text
  return list.trim() === "*" || origins.every(isOrigin)
    ? origins
    : yield* fail("CORS_ORIGINS", "must be * or a list of origins like https://app.example")
})

const trustedProxies = Effect.gen(function* () {
  const list = Option.getOrElse(yield* string("TRUSTED_PROXIES"), () => "")
  const proxies = parseProxies(
    list
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "")
  )
  return proxies ?? (yield* fail("TRUSTED_PROXIES", "must be a list of addresses or ranges like 10.0.0.0/8"))
})

const load: Effect.Effect<Settings, SettingError> = Effect.gen(function* () {
  const environment = Option.getOrElse(
    yield* choice("APP_ENV", ["development", "test", "production"]),
    () => "production" as const
  )
  const role = Option.getOrElse(yield* choice("ROLE", ["all", "api", "worker"]), () => "all" as const)
  const port = yield* integer("PORT", 0, 65_535, 3000)
  const configuredUrl = yield* secret("DATABASE_URL")
  if (Option.isNone(configuredUrl)) return yield* fail("DATABASE_URL", "is required (postgres://…)")
  const database = yield* databaseUrl("DATABASE_URL", configuredUrl.value)
  const direct = yield* secret("DATABASE_DIRECT_URL")
  // Render tells a web service its own address.
  const appUrl = Option.firstSomeOf([yield* string("APP_URL"), yield* string("RENDER_EXTERNAL_URL")])
  if (Option.isNone(appUrl) && environment === "production") yield* fail("APP_URL", "is required in production (https://…)")
  const prefix = yield* string("API_PREFIX")
  if (Option.isSome(prefix) && !/^(\/[\w-]+)+$/.test(prefix.value)) yield* fail("API_PREFIX", "must look like /api")
  const otlpEndpoint = yield* string("OTEL_EXPORTER_OTLP_ENDPOINT")
  const migrate = yield* choice("MIGRATE", ["on", "off"])
  const delivery = yield* otpDelivery(environment)
  return {
    environment,
    role,
    host: Option.getOrElse(yield* string("HOST"), () => (environment === "development" ? "127.0.0.1" : "0.0.0.0")),
    port,
    databaseUrl: database,
    databaseDirectUrl: Option.isSome(direct) ? yield* databaseUrl("DATABASE_DIRECT_URL", direct.value) : database,
    migrate: Option.getOrElse(migrate, () => "on") === "on",
    jwtKeys: yield* jwtKeys(environment),
    jwtTtl: yield* integer("JWT_TTL", 60, 86_400, 3600),
    otpDelivery: delivery,
    otpWebhook: yield* otpWebhook(environment, delivery),
    passwordLogin: Option.getOrUndefined(yield* choice("PASSWORD_LOGIN", ["true", "false"])) === "true",
    gemini: yield* gemini(environment),
    billing: yield* billing(environment),
    appUrl: yield* url(
      "APP_URL",
      Option.getOrElse(appUrl, () => `http://localhost:${port}`),
      ["http:", "https:"]
    ),
    basicDailyPrompts: yield* integer("BASIC_DAILY_PROMPTS", 1, 1_000_000, 5),
    proDailyPrompts: yield* integer("PRO_DAILY_PROMPTS", 0, 1_000_000, 1000),
    workerConcurrency: yield* integer("WORKER_CONCURRENCY", 1, 1000, 100),
    requestConcurrency: yield* integer("REQUEST_CONCURRENCY", 1, 100_000, 64),
    corsOrigins: yield* corsOrigins,
    trustedProxies: yield* trustedProxies,
    apiPrefix: Option.getOrUndefined(prefix),
    adminToken: Option.getOrUndefined(yield* secret("ADMIN_TOKEN")),
    otlpEndpoint: Option.isSome(otlpEndpoint)
      ? yield* url("OTEL_EXPORTER_OTLP_ENDPOINT", otlpEndpoint.value, ["http:", "https:"])
      : undefined,
    logLevel: yield* logLevel
  }
})

export class AppConfig extends Context.Service<AppConfig, Settings>()("chat-backend/Config") {
  static readonly layer = Layer.effect(AppConfig, load)
}
