import { Context, Effect, Layer, Record, Redacted, Result } from "effect"
import { type Region, regions } from "../api/auth/Mobile.ts"
import { databaseEndpoint, type DatabaseEndpoint } from "./DatabaseUrl.ts"
import { type FrontEnd, frontEndAt } from "./FrontEnd.ts"
import { playground } from "./Playground.ts"
import { parseProxies, type TrustedProxies } from "./Proxies.ts"
import { tracing, type TracingSettings } from "./Tracing.ts"
import {
  adminTokens,
  billing,
  type BillingSettings,
  type Bucket,
  bucket,
  type Delivery,
  type Environment,
  type Gateway,
  gemini,
  isBillingOn,
  type JwtKey,
  jwtKeys,
  otpDelivery,
  moderation,
  otpWebhook,
  webhookSecrets
} from "./Credentials.ts"
import { modelNamedBy, type ModelSettings, modelSettings } from "./Models.ts"
import { type BasicAndPaid, type Plan, plans } from "./Plans.ts"
import {
  choice,
  dollars,
  fail,
  integer,
  items,
  optional,
  optionalChoice,
  optionalDollars,
  optionalSecret,
  optionalUrl,
  SettingError,
  text,
  url
} from "./Reading.ts"

const logLevels = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  fatal: "Fatal",
  none: "None"
} as const

/** Every setting of the process, read once. Names, meanings and defaults are in Variables.ts. */
export interface Settings {
  readonly environment: Environment
  readonly role: "all" | "api" | "worker"
  readonly host: string
  readonly port: number
  /** Where probes are answered: `port`, or nowhere in a worker without a `PORT`. */
  readonly opsPort: number | undefined
  /** Processes that share the port. */
  readonly webConcurrency: number
  readonly database: DatabaseEndpoint
  /** A session connection for LISTEN, the queue, migrations and advisory locks. */
  readonly databaseDirect: DatabaseEndpoint
  /** Whether `database` is a pooler in transaction mode, which keeps no session settings and no prepared statements. */
  readonly isPooled: boolean
  /** A streaming replica for some reads. */
  readonly databaseRead: DatabaseEndpoint | undefined
  /** Connections for requests and jobs. */
  readonly databasePoolSize: number
  readonly migrate: boolean
  readonly jwtKeys: readonly [JwtKey, ...Array<JwtKey>]
  /** Seconds an access token lives. */
  readonly jwtTtl: number
  /** Days after the login at which a session ends, however much it is used; 0 is never. */
  readonly sessionMaxDays: number
  readonly otpDelivery: Delivery
  /** The gateway that codes are posted to, if there is one. */
  readonly otpWebhook: Gateway | undefined
  /** The countries whose numbers get codes; undefined for all. */
  readonly otpCountries: ReadonlySet<Region> | undefined
  /** The country whose numbers are also read without a country code, if there is one. */
  readonly defaultRegion: Region | undefined
  /** Whether a user can also log in with a password. */
  readonly passwordLogin: boolean
  readonly gemini: {
    readonly apiKey: Redacted.Redacted
    readonly baseUrl: string | undefined
    readonly apiVersion: string
    readonly safetyThreshold: "default" | "off" | "high" | "medium" | "low"
  }
  /** The gateway that checks texts before the model gets them, if there is one, and what an error of it means. */
  readonly moderation: { readonly gateway: Gateway; readonly fail: "open" | "closed" } | undefined
  /** The models that users may choose, and the default. */
  readonly models: ModelSettings["models"]
  readonly defaultModel: string
  /** How a room without a title gets one, and the model that names it. */
  readonly autoTitles: "model" | "words" | "off"
  readonly titleModel: string
  /** Whether long rooms that do not say are summarised, and the model that does it. */
  readonly roomSummaries: boolean
  readonly summaryModel: string
  /** Undefined with `BILLING=off`, and outside production without a key. */
  readonly billing: BillingSettings | undefined
  /** Public base URL for links, without a trailing slash. */
  readonly appUrl: string
  readonly frontEnd: FrontEnd
  /** The plans that are sold, from the lowest to the highest. */
  readonly plans: ReadonlyArray<Plan>
  readonly basicDailyPrompts: number
  /** Millionths of a US dollar that a Basic user may cost per UTC day. */
  readonly basicDailyBudget: number | undefined
  /** Google searches of a user per UTC day. */
  readonly dailySearches: BasicAndPaid<number>
  /** Millionths of a US dollar that one search costs. */
  readonly searchPrice: number
  /** Millionths of a US dollar that all users may cost per UTC day. */
  readonly dailySpendLimit: number | undefined
  /** Who may upload files and attach them. */
  readonly attachments: "all" | "pro" | "off"
  /** Bytes that the files of a user may have together. */
  readonly storageBytes: BasicAndPaid<number>
  /** Where the files are kept; undefined for Postgres. */
  readonly s3: Bucket | undefined
  readonly workerConcurrency: number
  /** Replies of one user that may be made at the same time. */
  readonly userConcurrency: BasicAndPaid<number>
  /** Requests that the process handles at the same time. Further requests wait, and then get 503 `overloaded`. */
  readonly requestConcurrency: number
  /** Days without a message after which a room is deleted; 0 for never. */
  readonly roomRetentionDays: number
  /** Days that the ledger keeps a call of the model. */
  readonly ledgerRetentionDays: number
  /** Seconds between SIGTERM and the beginning of the drain. */
  readonly drainDelay: number
  /** Who can read a shared link; with `off` none can be made either. */
  readonly sharing: "off" | "users" | "public"
  readonly corsOrigins: ReadonlyArray<string>
  /** The proxies whose `X-Forwarded-For` is trusted. */
  readonly trustedProxies: TrustedProxies
  readonly apiPrefix: string | undefined
  /** The folder of the page that `/` shows; undefined when it is off or not built. */
  readonly playground: string | undefined
  /** The bearer tokens of /metrics and /admin; without one both are 404. */
  readonly adminTokens: ReadonlyArray<Redacted.Redacted>
  /** Where traces go; undefined when nothing is traced. */
  readonly tracing: TracingSettings | undefined
  /** The requests that get a line in the log. */
  readonly requestLog: "all" | "errors" | "off"
  readonly logLevel: (typeof logLevels)[keyof typeof logLevels]
}

const databases = Effect.gen(function* () {
  const configured = yield* optionalSecret("DATABASE_URL")
  if (configured === undefined) return yield* fail("DATABASE_URL", "is required (postgres://…)")
  const defaults = { ca: yield* optional("DATABASE_CA"), mode: yield* text("PGSSLMODE") }
  const database = yield* databaseEndpoint("DATABASE_URL", configured, defaults)
  const direct = yield* optionalSecret("DATABASE_DIRECT_URL")
  const read = yield* optionalSecret("DATABASE_READ_URL")
  const isPooled = direct !== undefined && Redacted.value(direct) !== Redacted.value(configured)
  return {
    database,
    databaseDirect: direct === undefined ? database : yield* databaseEndpoint("DATABASE_DIRECT_URL", direct, defaults),
    databaseRead: read === undefined ? undefined : yield* databaseEndpoint("DATABASE_READ_URL", read, defaults),
    isPooled,
    databasePoolSize: yield* integer("DATABASE_POOL_SIZE", 4, 1_000)
  }
})

const appUrl = Effect.fnUntraced(function* (environment: Environment, port: number) {
  // Render sets it to the service's own address.
  const renderUrl = yield* optional("RENDER_EXTERNAL_URL")
  const configured = (yield* optional("APP_URL")) ?? renderUrl
  if (configured === undefined && environment === "production") {
    return yield* fail("APP_URL", "is required in production (https://…)")
  }
  return yield* url("APP_URL", configured ?? `http://localhost:${port}`, ["http:", "https:"])
})

const apiPrefix = Effect.gen(function* () {
  const prefix = yield* optional("API_PREFIX")
  return prefix === undefined || /^(\/[\w-]+)+$/.test(prefix) ? prefix : yield* fail("API_PREFIX", "must look like /api")
})

const logLevel = Effect.map(choice("LOG_LEVEL", Record.keys(logLevels)), (level) => logLevels[level])

/** Origins without a path, as browsers send them, because they are compared as text. */
const corsOrigins = Effect.gen(function* () {
  const list = (yield* optional("CORS_ORIGINS")) ?? ""
  const origins = items(list)
  const isOrigin = (text: string) => URL.canParse(text) && new URL(text).origin === text
  return list.trim() === "*" || origins.every(isOrigin)
    ? origins
    : yield* fail("CORS_ORIGINS", "must be * or a list of origins like https://app.example")
})

const isRegion = (text: string): text is Region => regions.some((region) => region === text)

const otpCountries = Effect.gen(function* () {
  const listed = items(yield* optional("OTP_COUNTRIES"))
  const countries = listed.filter(isRegion)
  if (countries.length < listed.length) return yield* fail("OTP_COUNTRIES", "must be a list of country codes like IN,US")
  return countries.length === 0 ? undefined : new Set(countries)
})

const defaultRegion = Effect.gen(function* () {
  const region = yield* optional("DEFAULT_REGION")
  return region === undefined || isRegion(region) ? region : yield* fail("DEFAULT_REGION", "must be a country code like IN")
})

const trustedProxies = Effect.gen(function* () {
  const proxies = parseProxies(items(yield* optional("TRUSTED_PROXIES")))
  return (
    proxies ?? (yield* fail("TRUSTED_PROXIES", "must be a count of proxies, or a list of addresses and ranges like 10.0.0.0/8"))
  )
})

/** No user gets more than half of a worker, so that other users' replies find a free slot. */
const userConcurrency = Effect.fnUntraced(function* (workerConcurrency: number) {
  const most = Math.max(1, Math.floor(workerConcurrency / 2))
  return {
    basic: Math.min(yield* integer("BASIC_CONCURRENCY", 1, 1000), most),
    pro: Math.min(yield* integer("PRO_CONCURRENCY", 1, 1000), most)
  }
})

/** A worker alone shares no port; more workers are started by hand. Processes that make keys of their own do not share tokens. */
const webConcurrency = Effect.fnUntraced(function* (role: Settings["role"]) {
  const processes = yield* integer("WEB_CONCURRENCY", 1, 128)
  if (role === "worker") return 1
  if (processes > 1 && (yield* optionalSecret("JWT_KEYS")) === undefined)
    return yield* fail("WEB_CONCURRENCY", "needs JWT_KEYS, which all processes share")
  return processes
})

const load: Effect.Effect<Settings, SettingError> = Effect.gen(function* () {
  const environment = yield* choice("APP_ENV", ["development", "test", "production"])
  const port = yield* integer("PORT", 0, 65_535)
  const role = yield* choice("ROLE", ["all", "api", "worker"])
  const database = yield* databases
  const delivery = yield* otpDelivery(environment)
  const workerConcurrency = yield* integer("WORKER_CONCURRENCY", 1, 1000)
  const publicUrl = yield* appUrl(environment, port)
  const page = yield* playground
  const sold = yield* plans(environment)
  return {
    environment,
    role,
    host: (yield* optional("HOST")) ?? (environment === "development" ? "127.0.0.1" : "0.0.0.0"),
    port,
    opsPort: role === "worker" && (yield* optional("PORT")) === undefined ? undefined : port,
    webConcurrency: yield* webConcurrency(role),
    ...database,
    migrate: (yield* choice("MIGRATE", ["on", "off"])) === "on",
    jwtKeys: yield* jwtKeys(environment),
    jwtTtl: yield* integer("JWT_TTL", 1, 86_400),
    sessionMaxDays: yield* integer("SESSION_MAX_DAYS", 0, 3_650),
    otpDelivery: delivery,
    otpWebhook: yield* otpWebhook(environment, delivery),
    otpCountries: yield* otpCountries,
    defaultRegion: yield* defaultRegion,
    passwordLogin: (yield* choice("PASSWORD_LOGIN", ["true", "false"])) === "true",
    gemini: yield* gemini(environment),
    moderation: yield* moderation(environment),
    plans: sold,
    ...(yield* modelSettings(sold)),
    autoTitles: yield* choice("AUTO_TITLES", ["model", "words", "off"]),
    titleModel: yield* modelNamedBy("TITLE_MODEL"),
    roomSummaries: (yield* choice("ROOM_SUMMARIES", ["on", "off"])) === "on",
    summaryModel: yield* modelNamedBy("SUMMARY_MODEL"),
    billing: yield* billing(environment),
    appUrl: publicUrl,
    frontEnd: frontEndAt(
      (yield* optionalUrl("FRONTEND_URL", ["http:", "https:"])) ?? (page === undefined ? undefined : publicUrl),
      publicUrl,
      sold[0]?.id ?? "pro"
    ),
    dailySearches: {
      basic: yield* integer("BASIC_DAILY_SEARCHES", 0, 1_000_000),
      pro: yield* integer("PRO_DAILY_SEARCHES", 0, 1_000_000)
    },
    searchPrice: Math.round((yield* dollars("SEARCH_PRICE_PER_1000")) / 1_000),
    basicDailyBudget: yield* optionalDollars("BASIC_DAILY_BUDGET"),
    dailySpendLimit: yield* optionalDollars("DAILY_SPEND_LIMIT"),
    basicDailyPrompts: yield* integer("BASIC_DAILY_PROMPTS", 1, 1_000_000),
    attachments: yield* choice("ATTACHMENTS", ["all", "pro", "off"]),
    storageBytes: {
      basic: (yield* integer("BASIC_STORAGE_MB", 1, 10_000_000)) * 1_048_576,
      pro: (yield* integer("PRO_STORAGE_MB", 1, 10_000_000)) * 1_048_576
    },
    s3: yield* bucket(environment),
    workerConcurrency,
    userConcurrency: yield* userConcurrency(workerConcurrency),
    roomRetentionDays: yield* integer("ROOM_RETENTION_DAYS", 0, 36_500),
    // A user sees 92 days of usage, and the operator's reports are made from the ledger.
    ledgerRetentionDays: yield* integer("LEDGER_RETENTION_DAYS", 93, 36_500),
    drainDelay: yield* integer("DRAIN_DELAY", 0, 8),
    requestConcurrency: yield* integer("REQUEST_CONCURRENCY", 1, 100_000),
    sharing: (yield* optionalChoice("SHARING", ["off", "users", "public"])) ?? (environment === "production" ? "off" : "public"),
    corsOrigins: yield* corsOrigins,
    trustedProxies: yield* trustedProxies,
    apiPrefix: yield* apiPrefix,
    playground: page,
    adminTokens: yield* adminTokens(environment),
    tracing: yield* tracing,
    requestLog:
      (yield* optionalChoice("REQUEST_LOG", ["all", "errors", "off"])) ?? (environment === "development" ? "all" : "errors"),
    logLevel: yield* logLevel
  }
})

/** The settings that a deployment has to make, each read by itself. */
const requirements = Effect.gen(function* () {
  const environment = yield* choice("APP_ENV", ["development", "test", "production"])
  const readings: ReadonlyArray<Effect.Effect<unknown, SettingError>> = [
    databases,
    appUrl(environment, yield* integer("PORT", 0, 65_535)),
    jwtKeys(environment),
    Effect.flatMap(otpDelivery(environment), (delivery) => otpWebhook(environment, delivery)),
    gemini(environment),
    moderation(environment),
    billing(environment),
    ...((yield* isBillingOn(environment)) ? [webhookSecrets(environment)] : []),
    plans(environment),
    adminTokens(environment)
  ]
  const results = yield* Effect.all(readings, { mode: "result" })
  return results.filter(Result.isFailure).map(({ failure }) => failure)
})

/** The failure together with the other required settings that are missing or unusable, each named once. */
const withOthers = (failure: SettingError) =>
  Effect.flatMap(
    Effect.orElseSucceed(requirements, () => []),
    (found) => {
      const others = new Map(found.map(({ problem, setting }) => [setting, { setting, problem }]))
      others.delete(failure.setting)
      return Effect.fail(others.size === 0 ? failure : new SettingError({ ...failure, others: [...others.values()] }))
    }
  )

export class AppConfig extends Context.Service<AppConfig, Settings>()("chat-backend/config/Settings") {
  static readonly layer = Layer.effect(AppConfig, Effect.catch(load, withOthers))
}
