type Variable = { readonly meaning: string } & (
  | {
      /** The value when it is not set. The settings read it from here. */
      readonly defaultValue: string | number
    }
  | {
      /** What happens when it is not set, in Markdown: it is required, or the value depends on other variables. */
      readonly default: string
    }
)

/**
 * Every environment variable there is, for people: the README's table is made of this, and Config can read no
 * other name.
 */
export const variables = {
  APP_ENV: { meaning: "`development`, `test` or `production`", defaultValue: "production" },
  ROLE: { meaning: "`api`, `worker`, or `all` for both in one process", defaultValue: "all" },
  PORT: {
    meaning:
      "where it listens; a worker alone answers `/healthz`, `/readyz` and `/metrics` there, and listens nowhere without it",
    defaultValue: 3000
  },
  HOST: { meaning: "the address it listens at", default: "`0.0.0.0`; `127.0.0.1` in development" },
  DATABASE_URL: { meaning: "Postgres 15 or newer", default: "required; `npm run dev` starts its own" },
  DATABASE_DIRECT_URL: {
    meaning: "a session connection for LISTEN, the queue and migrations, when `DATABASE_URL` is a pooler in transaction mode",
    default: "`DATABASE_URL`"
  },
  DATABASE_CA: {
    meaning:
      "root certificate that verifies the database's, as PEM text or a path; `sslmode` in the URL means what it means to libpq",
    default: "none"
  },
  PGSSLMODE: { meaning: "the `sslmode` of database URLs that have none", default: "`prefer`" },
  DATABASE_POOL_SIZE: {
    meaning:
      "database connections of a process for requests and jobs, 4 or more; LISTEN, locks and the queue take up to 4 + 4 + 10 more",
    defaultValue: 12
  },
  MIGRATE: { meaning: "`off` when `npm run migrate` runs apart, before a deploy", defaultValue: "on" },
  APP_URL: {
    meaning: "public base URL for links; never taken from a request",
    default: "`RENDER_EXTERNAL_URL`, else required in production"
  },
  RENDER_EXTERNAL_URL: { meaning: "set by Render: the address it gave the service", default: "none" },
  JWT_KEYS: {
    meaning: "`kid:base64[,kid:base64]`, 32 bytes or more each, the first signs; or one base64 value alone",
    default: "required in production"
  },
  JWT_TTL: { meaning: "seconds an access token lives", defaultValue: 3600 },
  OTP_DELIVERY: {
    meaning:
      "how codes are delivered: `response` (in the answer: for trying out), `log`, `webhook`, or `none` (a sender of one's own: `OTP_WEBHOOK_URL`, or a layer)",
    default: "`response`; required in production"
  },
  OTP_DEMO_MODE: { meaning: "`anyone-can-log-in` allows `OTP_DELIVERY=response` in production", default: "none" },
  OTP_WEBHOOK_URL: { meaning: "where codes are posted to; `https` in production", default: "required with `webhook`" },
  OTP_WEBHOOK_SECRET: { meaning: "signs what is posted, 32 bytes or more", default: "required with `OTP_WEBHOOK_URL`" },
  PASSWORD_LOGIN: { meaning: "`true` lets numbers log in with a password, too", defaultValue: "false" },
  GEMINI_API_KEY: { meaning: "from [AI Studio](https://aistudio.google.com/apikey)", default: "required in production" },
  GEMINI_MODEL: { meaning: "the model of rooms that name none", defaultValue: "gemini-3.8-flash" },
  GEMINI_BASE_URL: { meaning: "another host that speaks Google's protocol", default: "Google's" },
  GEMINI_API_VERSION: { meaning: "Google's API version", defaultValue: "v1beta" },
  BILLING: { meaning: "`off` to run without Stripe: everybody is Basic", defaultValue: "on" },
  STRIPE_SECRET_KEY: { meaning: "`sk_test_…`, or `sk_live_…` in production", default: "required in production with billing" },
  STRIPE_WEBHOOK_SECRETS: { meaning: "`whsec_…`; both, with a comma, while one is rolled", default: "with `STRIPE_SECRET_KEY`" },
  STRIPE_PRO_PRICE_ID: {
    meaning: "`price_…` of the Pro plan; of a comma list the first is sold, and the others still count as Pro",
    default: "with `STRIPE_SECRET_KEY`"
  },
  STRIPE_API_BASE: { meaning: "another host that speaks Stripe's protocol", default: "Stripe's" },
  BASIC_DAILY_PROMPTS: { meaning: "prompts a UTC day", defaultValue: 5 },
  PRO_DAILY_PROMPTS: { meaning: "prompts a UTC day; 0 is unlimited", defaultValue: 1000 },
  WORKER_CONCURRENCY: { meaning: "replies in flight in one process", defaultValue: 100 },
  REQUEST_CONCURRENCY: {
    meaning: "requests worked on at once in one process; more wait up to five seconds, and are refused with 503 `overloaded`",
    defaultValue: 64
  },
  TRUSTED_PROXIES: { meaning: "addresses or ranges whose forwarded addresses are believed, as a comma list", default: "none" },
  CORS_ORIGINS: { meaning: "origins of browsers that may call, as a comma list, or `*`", default: "none" },
  API_PREFIX: { meaning: "serves everything under a path like `/api` as well", default: "none" },
  ADMIN_TOKEN: { meaning: "opens `/metrics` and `/admin/queue`", default: "none: they are 404" },
  LOG_LEVEL: { meaning: "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `none`", defaultValue: "info" },
  OTEL_EXPORTER_OTLP_ENDPOINT: { meaning: "base URL of an OpenTelemetry collector, for traces", default: "none" },
  DEV_DATA_DIR: { meaning: "where `npm run dev` keeps its database, keys and simulated Stripe", defaultValue: ".data" }
} as const satisfies Readonly<Record<string, Variable>>

/** The name of an environment variable. */
export type VariableName = keyof typeof variables

/** The names of the variables that have a default value of type `A`. */
export type NameWithDefault<A> = {
  [Name in VariableName]: (typeof variables)[Name] extends { readonly defaultValue: A } ? Name : never
}[VariableName]
