import type { BlockList } from "node:net"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { parseProxies } from "./Proxies.ts"
import {
  billing,
  type BillingSettings,
  type Delivery,
  type Environment,
  gemini,
  type JwtKey,
  jwtKeys,
  otpDelivery,
  type OtpWebhook,
  otpWebhook
} from "./Credentials.ts"
import { choice, fail, integer, items, secret, type SettingError, string, url } from "./Reading.ts"
import type { VariableName } from "./Variables.ts"

/** Every setting of the process, read once. Their names and meanings are in config/Variables.ts. */
export interface Settings {
  readonly environment: Environment
  readonly role: "all" | "api" | "worker"
  readonly host: string
  readonly port: number
  readonly databaseUrl: Redacted.Redacted
  /** A session connection for LISTEN, the queue, migrations and advisory locks. */
  readonly databaseDirectUrl: Redacted.Redacted
  readonly migrate: boolean
  readonly jwtKeys: readonly [JwtKey, ...Array<JwtKey>]
  /** Seconds an access token lives. */
  readonly jwtTtl: number
  readonly otpDelivery: Delivery
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

const databaseUrl = (name: VariableName, value: Redacted.Redacted) =>
  Effect.as(url(name, Redacted.value(value), ["postgres:", "postgresql:"]), value)

const logLevel = Effect.map(choice("LOG_LEVEL", ["trace", "debug", "info", "warn", "error", "fatal", "none"]), (level) => {
  const name = Option.getOrElse(level, () => "info")
  return (name.charAt(0).toUpperCase() + name.slice(1)) as Settings["logLevel"]
})

/** Browsers send an origin without a path, and it is compared as it stands. */
const corsOrigins = Effect.gen(function* () {
  const list = Option.getOrElse(yield* string("CORS_ORIGINS"), () => "")
  const origins = items(list)
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text
  return list.trim() === "*" || origins.every(isOrigin)
    ? origins
    : yield* fail("CORS_ORIGINS", "must be * or a list of origins like https://app.example")
})

const trustedProxies = Effect.gen(function* () {
  const proxies = parseProxies(items(Option.getOrElse(yield* string("TRUSTED_PROXIES"), () => "")))
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
    jwtTtl: yield* integer("JWT_TTL", 1, 86_400, 3600),
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

export class AppConfig extends Context.Service<AppConfig, Settings>()("chat-backend/config/Settings") {
  static readonly layer = Layer.effect(AppConfig, load)
}
