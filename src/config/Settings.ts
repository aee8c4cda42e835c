import { Context, Effect, Layer, type Redacted } from "effect"
import { adminTokens } from "./AdminTokens.ts"
import { billing, type BillingSettings } from "./Billing.ts"
import { type Bucket, bucket } from "./Bucket.ts"
import { userConcurrency, webConcurrency } from "./Concurrency.ts"
import { databases, type DatabaseSettings } from "./DatabaseUrl.ts"
import { appEnvironment, type Environment } from "./Environment.ts"
import { type FrontEnd, frontEndAt } from "./FrontEnd.ts"
import { gemini, type GeminiSettings } from "./Gemini.ts"
import { type JwtKey, jwtKeys } from "./JwtKeys.ts"
import { type LogLevel, logLevel } from "./LogLevel.ts"
import { modelNamedBy, type ModelSettings, modelSettings } from "./Models.ts"
import { moderation, type ModerationSettings } from "./Moderation.ts"
import { codeSettings, type CodeSettings } from "./OneTimeCodes.ts"
import { type BasicAndPaid, type Plan, plans } from "./Plans.ts"
import { playground } from "./Playground.ts"
import { trustedProxies, type TrustedProxies } from "./Proxies.ts"
import { apiPrefix, appUrl, corsOrigins } from "./PublicUrls.ts"
import { choice, integer, optional, optionalChoice, optionalUrl, type SettingError } from "./Reading.ts"
import { withOthers } from "./RequiredSettings.ts"
import { tracing, type TracingSettings } from "./Tracing.ts"
import { type UsageLimits, usageLimits } from "./UsageLimits.ts"

/** Every setting of the process, read once. Names, meanings and defaults are in Variables.ts. */
export interface Settings extends DatabaseSettings, CodeSettings, UsageLimits {
  readonly environment: Environment
  readonly role: "all" | "api" | "worker"
  readonly host: string
  readonly port: number
  /** Where probes are answered: `port`, or nowhere in a worker without a `PORT`. */
  readonly opsPort: number | undefined
  /** Processes that share the port. */
  readonly webConcurrency: number
  readonly migrate: boolean
  readonly jwtKeys: readonly [JwtKey, ...Array<JwtKey>]
  /** Seconds an access token lives. */
  readonly jwtTtl: number
  /** Days after the login at which a session ends, however much it is used; 0 is never. */
  readonly sessionMaxDays: number
  /** Whether a user can also log in with a password. */
  readonly passwordLogin: boolean
  readonly gemini: GeminiSettings
  /** Undefined when texts are not moderated. */
  readonly moderation: ModerationSettings | undefined
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
  readonly logLevel: LogLevel
}

const load: Effect.Effect<Settings, SettingError> = Effect.gen(function* () {
  const environment = yield* appEnvironment
  const port = yield* integer("PORT", 0, 65_535)
  const role = yield* choice("ROLE", ["all", "api", "worker"])
  const database = yield* databases
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
    webConcurrency: yield* webConcurrency(role === "worker"),
    ...database,
    migrate: (yield* choice("MIGRATE", ["on", "off"])) === "on",
    jwtKeys: yield* jwtKeys(environment),
    jwtTtl: yield* integer("JWT_TTL", 1, 86_400),
    sessionMaxDays: yield* integer("SESSION_MAX_DAYS", 0, 3_650),
    ...(yield* codeSettings(environment)),
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
    ...(yield* usageLimits),
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

export class AppConfig extends Context.Service<AppConfig, Settings>()("chat-backend/config/Settings") {
  static readonly layer = Layer.effect(AppConfig, Effect.catch(load, withOthers))
}
