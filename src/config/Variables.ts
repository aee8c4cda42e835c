type Variable = {
  readonly meaning: string
  /** Its value must not be seen. Only `optionalSecret` reads it, and docs/operations.md says how it is rotated. */
  readonly isSecret?: true
} & (
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
 * Every environment variable, described for operators. docs/settings.md is generated from this table, and the
 * settings can read no other name.
 */
export const variables = {
  APP_ENV: { meaning: "`development`, `test` or `production`", defaultValue: "production" },
  ROLE: { meaning: "`api`, `worker`, or `all` for both in one process", defaultValue: "all" },
  PORT: {
    meaning:
      "port of the API; with `ROLE=worker` only `/healthz`, `/readyz` and `/metrics` are served there, and nothing when it is not set",
    defaultValue: 3000
  },
  HOST: { meaning: "address that the API listens on", default: "`0.0.0.0`; `127.0.0.1` in development" },
  WEB_CONCURRENCY: {
    meaning:
      "processes that share the port and the role, usually one for each core of the machine; a process that ends is restarted",
    defaultValue: 1
  },
  DATABASE_URL: {
    isSecret: true,
    meaning: "`postgres://…` of a Postgres 15 or newer",
    default: "required; `npm run dev` starts its own Postgres"
  },
  DATABASE_DIRECT_URL: {
    isSecret: true,
    meaning:
      "a direct connection for LISTEN, the queue and migrations; set it when `DATABASE_URL` is a pooler in transaction mode",
    default: "`DATABASE_URL`"
  },
  DATABASE_READ_URL: {
    isSecret: true,
    meaning:
      "a streaming replica for reading histories, searches, exports and contexts, used when it is up to date with the primary ([docs/scaling.md](scaling.md#read-replicas))",
    default: "none: all reads go to `DATABASE_URL`"
  },
  DATABASE_CA: {
    meaning: "root certificate that verifies the database's certificate: PEM text, or the path of a PEM file",
    default: "none"
  },
  PGSSLMODE: { meaning: "`sslmode` of database URLs that have none, as libpq defines it", defaultValue: "prefer" },
  DATABASE_POOL_SIZE: {
    meaning:
      "connections of a process for requests and jobs, 4 or more; reads take up to 4 more, notifications 2, and a worker 16: 10 for jobs of replies, 5 for other jobs, 1 for its lock",
    defaultValue: 12
  },
  MIGRATE: {
    meaning: "`on` applies migrations at the start; `off` when `npm run migrate` runs before each deploy",
    defaultValue: "on"
  },
  APP_URL: {
    meaning: "public base URL, used in links; never taken from a request",
    default: "`RENDER_EXTERNAL_URL`, or else required in production"
  },
  FRONTEND_URL: {
    meaning:
      "where the browser returns to from Stripe's checkout (`/?billing=success&session_id=…` or `/?billing=cancelled`) and portal (`/?billing=portal`), and where `upgradeUrl` leads (`/#upgrade`)",
    default: "the playground; without it, a page that says that the checkout is over"
  },
  RENDER_EXTERNAL_URL: { meaning: "the service's address; Render sets it", default: "none" },
  JWT_KEYS: {
    isSecret: true,
    meaning:
      "keys for tokens, codes and cursors, each 32 bytes or more (`openssl rand -base64 32`): one base64 value, or `kid:base64[,kid:base64]`, where the first key signs and all are accepted",
    default: "required in production; else generated at each start (`npm run dev` keeps its own in `DEV_DATA_DIR`)"
  },
  JWT_TTL: { meaning: "lifetime of an access token, in seconds", defaultValue: 3600 },
  SESSION_MAX_DAYS: {
    meaning:
      "days after the login after which a session ends even if it is used; `0` is never (30 days without use always end it)",
    defaultValue: 0
  },
  OTP_DELIVERY: {
    meaning:
      "how one-time codes reach users: `response` (in the API's response, for trying out), `log`, `webhook` (posted to `OTP_WEBHOOK_URL`), or `none` (the server sends nothing: you replace the `CodeSender` layer in code). With `OTP_WEBHOOK_URL` set, `none` works like `webhook`",
    default: "`response`; required in production"
  },
  OTP_DEMO_MODE: { meaning: "`anyone-can-log-in` permits `OTP_DELIVERY=response` in production", default: "none" },
  OTP_WEBHOOK_URL: {
    isSecret: true,
    meaning: "URL that codes are posted to; `https` in production",
    default: "required with `OTP_DELIVERY=webhook`"
  },
  OTP_WEBHOOK_SECRET: {
    isSecret: true,
    meaning: "key that signs the posted codes, 32 bytes or more",
    default: "required with `OTP_WEBHOOK_URL`"
  },
  OTP_COUNTRIES: {
    meaning:
      "countries whose numbers get codes, as ISO codes separated by commas (`IN,US`); never satellite phones and premium numbers",
    default: "all"
  },
  DEFAULT_REGION: {
    meaning: "country (`IN`) whose numbers are also accepted without a country code",
    default: "none: every number needs its country code"
  },
  PASSWORD_LOGIN: { meaning: "`true` also allows login with a number and a password", defaultValue: "false" },
  GEMINI_API_KEY: {
    isSecret: true,
    meaning: "API key from [AI Studio](https://aistudio.google.com/apikey)",
    default: "required in production; `npm run dev` uses its simulator"
  },
  GEMINI_MODEL: {
    meaning: "default model of rooms; a model that is not in `MODELS` is added without a price",
    defaultValue: "gemini-3.8-flash"
  },
  MODELS: {
    meaning:
      "models that users may choose, with tiers, limits and prices ([docs/models.md](models.md)): a JSON array, or the path of a JSON file",
    default: "Google's current text models"
  },
  AUTO_TITLES: {
    meaning:
      "titles of rooms that were made without one ([docs/models.md](models.md#titles)): `model` asks `TITLE_MODEL` after the first question, `words` takes the question's first words, `off` leaves `New chat`",
    defaultValue: "model"
  },
  TITLE_MODEL: { meaning: "model that names rooms; `MODELS` need not have it", defaultValue: "gemini-3.5-flash-lite" },
  ROOM_SUMMARIES: {
    meaning:
      "`on` summarises the messages of a long room that no longer fit into a prompt ([docs/conversations.md](conversations.md#long-rooms)); `off` omits them. A room's own `summary` setting comes first",
    defaultValue: "on"
  },
  SUMMARY_MODEL: {
    meaning: "model that summarises long rooms; `MODELS` need not have it",
    defaultValue: "gemini-3.5-flash-lite"
  },
  GEMINI_BASE_URL: { meaning: "another host that speaks Google's protocol", default: "Google's" },
  GEMINI_API_VERSION: { meaning: "Google's API version", defaultValue: "v1beta" },
  SAFETY_THRESHOLD: {
    meaning:
      "probability of harm from which Google blocks harassment, hate speech, sexually explicit and dangerous content: `high`, `medium` or `low` and above, `off`, or `default` for the model's own default",
    defaultValue: "default"
  },
  MODERATION_URL: {
    isSecret: true,
    meaning:
      "URL that questions are posted to before the model gets them ([docs/models.md](models.md#moderation)); `https` in production",
    default: "none: nothing is posted"
  },
  MODERATION_SECRET: {
    isSecret: true,
    meaning: "key that signs the posted questions, 32 bytes or more",
    default: "required with `MODERATION_URL`"
  },
  MODERATION_FAIL: {
    meaning:
      "what happens when that service fails: `closed` asks it again for up to two minutes and then fails the reply with a refund, `open` asks the model without a check",
    defaultValue: "closed"
  },
  BILLING: { meaning: "`off` runs without Stripe; every user is Basic", defaultValue: "on" },
  STRIPE_SECRET_KEY: {
    isSecret: true,
    meaning: "`sk_test_…`, or `sk_live_…` in production",
    default: "required in production, unless `BILLING=off`"
  },
  STRIPE_WEBHOOK_SECRETS: {
    isSecret: true,
    meaning: "`whsec_…`; the old and the new one, separated by a comma, while you roll the secret",
    default: "required when `STRIPE_SECRET_KEY` is set"
  },
  STRIPE_PRO_PRICE_ID: {
    meaning:
      "`price_…` of the Pro plan, where `PLANS` is not set. In a comma-separated list the first price is offered at checkout, and subscriptions on the others (old prices) still count as Pro",
    default: "required when `STRIPE_SECRET_KEY` is set, unless `PLANS` is"
  },
  PLANS: {
    meaning:
      "plans that are sold, from the lowest to the highest, with prices, limits and trials ([docs/stripe.md](stripe.md#plans)): a JSON array, or the path of a JSON file. With it, `STRIPE_PRO_PRICE_ID` is not read",
    default: "one plan `pro` with `STRIPE_PRO_PRICE_ID`, `PRO_DAILY_PROMPTS` and `PRO_DAILY_BUDGET`"
  },
  STRIPE_TAX: {
    meaning: "`on` collects tax at checkout with Stripe Tax ([docs/stripe.md](stripe.md#tax))",
    defaultValue: "off"
  },
  STRIPE_API_BASE: { meaning: "another host that speaks Stripe's protocol", default: "Stripe's" },
  BASIC_DAILY_PROMPTS: { meaning: "prompts per UTC day for a Basic user", defaultValue: 5 },
  PRO_DAILY_PROMPTS: {
    meaning: "prompts per UTC day for a Pro user, and for each plan of `PLANS` that has none of its own; 0 is unlimited",
    defaultValue: 1000
  },
  BASIC_DAILY_BUDGET: { meaning: "US dollars that a Basic user may cost per UTC day, like `0.05`", default: "none" },
  PRO_DAILY_BUDGET: {
    meaning: "US dollars that a Pro user, or one of a plan that has no budget of its own, may cost per UTC day",
    default: "none"
  },
  BASIC_DAILY_SEARCHES: {
    meaning:
      "Google searches per UTC day for a Basic user ([docs/models.md](models.md#search-and-web-pages)); then replies are made without search",
    defaultValue: 0
  },
  PRO_DAILY_SEARCHES: { meaning: "Google searches per UTC day for a user of Pro or another plan", defaultValue: 100 },
  SEARCH_PRICE_PER_1000: { meaning: "US dollars for 1,000 Google searches, with at most four decimals", defaultValue: "14" },
  DAILY_SPEND_LIMIT: {
    meaning: "US dollars that all users together may cost per UTC day; then questions get 503 `spend_limit_reached`",
    default: "none"
  },
  ATTACHMENTS: {
    meaning:
      "who may upload files and attach them to questions ([docs/attachments.md](attachments.md)): `all`, `pro` (users of Pro or another plan) or `off`",
    defaultValue: "all"
  },
  BASIC_STORAGE_MB: { meaning: "MiB that the files of a Basic user may have together", defaultValue: 200 },
  PRO_STORAGE_MB: { meaning: "the same for a user of Pro or another plan", defaultValue: 5120 },
  S3_ENDPOINT: {
    meaning: "S3-compatible service that keeps the files (`https://s3.eu-central-1.amazonaws.com`); `https` in production",
    default: "none: Postgres keeps them"
  },
  S3_BUCKET: { meaning: "the bucket", default: "required with `S3_ENDPOINT`" },
  S3_ACCESS_KEY_ID: {
    isSecret: true,
    meaning: "access key that may put, get and delete objects",
    default: "required with `S3_ENDPOINT`"
  },
  S3_SECRET_ACCESS_KEY: { isSecret: true, meaning: "its secret", default: "required with `S3_ENDPOINT`" },
  S3_REGION: { meaning: "region for the signatures", defaultValue: "auto" },
  WORKER_CONCURRENCY: { meaning: "replies that one process makes at the same time", defaultValue: 100 },
  BASIC_CONCURRENCY: {
    meaning:
      "replies of one Basic user that are made at the same time, over all rooms and processes; further ones wait. At most half of `WORKER_CONCURRENCY` counts, and at least 1",
    defaultValue: 3
  },
  PRO_CONCURRENCY: { meaning: "the same for a user of Pro or another plan", defaultValue: 10 },
  REQUEST_CONCURRENCY: {
    meaning:
      "requests that one process handles at the same time; further requests wait up to five seconds and then get 503 `overloaded`",
    defaultValue: 64
  },
  ROOM_RETENTION_DAYS: {
    meaning:
      "days without a message after which a room is deleted with its messages, unless it is pinned; checked once a day. 0 keeps rooms until their users delete them",
    defaultValue: 0
  },
  LEDGER_RETENTION_DAYS: { meaning: "days that the ledger of model calls keeps a call", defaultValue: 400 },
  DRAIN_DELAY: {
    meaning:
      "seconds after SIGTERM during which an API process still accepts requests while `/readyz` is 503, so that a load balancer removes it before it drains; a little longer than the interval of the balancer's checks",
    defaultValue: 0
  },
  SHARING: {
    meaning:
      "links to conversations ([docs/shares.md](shares.md)): with `public` everyone with a link can read it, with `users` only logged-in users, with `off` links cannot be created or read",
    default: "`public`; `off` in production"
  },
  TRUSTED_PROXIES: {
    meaning:
      "proxies in front whose `X-Forwarded-For` is trusted: their count (`2` on Render), or their addresses and ranges, separated by commas",
    default: "none"
  },
  CORS_ORIGINS: {
    meaning: "origins whose pages may call the API from a browser, separated by commas, or `*`",
    default: "none"
  },
  PLAYGROUND: {
    meaning:
      "`on` serves [the playground](playground.md) at `/`; with `off`, `/` redirects to the reference at `/docs`; a folder's name serves the page built in that folder, as `npm run dev` does",
    defaultValue: "on"
  },
  API_PREFIX: { meaning: "a path like `/api` under which all routes are served as well", default: "none" },
  ADMIN_TOKEN: {
    isSecret: true,
    meaning:
      "bearer token for `/metrics` and `/admin`, 16 characters or more in production; the new and the old one, separated by a comma, while you replace it",
    default: "none: both are 404"
  },
  LOG_LEVEL: { meaning: "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `none`", defaultValue: "info" },
  REQUEST_LOG: {
    meaning:
      "requests that get a line in the log with method, route, status, time and request id: `all`, `errors` (status 500 and above) or `off`; `/healthz`, `/readyz` and `/metrics` are logged at `debug` alone",
    default: "`errors`; `all` in development"
  },
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    meaning: "base URL of an OpenTelemetry collector that receives traces as OTLP over HTTP, for example `http://localhost:4318`",
    default: "none: nothing is traced"
  },
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: {
    meaning: "the whole URL that traces are posted to",
    default: "`OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces`"
  },
  OTEL_EXPORTER_OTLP_HEADERS: {
    isSecret: true,
    meaning: "headers for the collector, as `name=value` separated by commas, with values in percent-encoding",
    default: "none"
  },
  OTEL_EXPORTER_OTLP_PROTOCOL: {
    meaning: "how traces are written: `http/json` or `http/protobuf`; `grpc` is not supported",
    defaultValue: "http/json"
  },
  OTEL_EXPORTER_OTLP_COMPRESSION: {
    meaning: "`gzip` compresses what is posted to the collector, or `none`",
    defaultValue: "none"
  },
  OTEL_SERVICE_NAME: { meaning: "the name of this service in traces", defaultValue: "gemini-chat-backend" },
  OTEL_RESOURCE_ATTRIBUTES: {
    meaning: "attributes of every trace, as `name=value` separated by commas, for example `deployment.environment.name=staging`",
    default: "none"
  },
  OTEL_TRACES_SAMPLER: {
    meaning:
      "`always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`, which follows the decision of the caller's `traceparent`",
    defaultValue: "parentbased_always_on"
  },
  OTEL_TRACES_SAMPLER_ARG: { meaning: "the proportion of traces that `traceidratio` keeps, from 0 to 1", defaultValue: "1" },
  OTEL_TRACES_EXPORTER: { meaning: "`otlp`, or `none`, which switches traces off", defaultValue: "otlp" },
  OTEL_SDK_DISABLED: { meaning: "`true` switches traces off", defaultValue: "false" },
  DEV_DATA_DIR: { meaning: "folder in which `npm run dev` keeps its database, keys and simulated Stripe", defaultValue: ".data" }
} as const satisfies Readonly<Record<string, Variable>>

/** The name of an environment variable. */
export type VariableName = keyof typeof variables

/** The names of the variables that are secrets, and of the others. */
export type SecretName = {
  [Name in VariableName]: (typeof variables)[Name] extends { readonly isSecret: true } ? Name : never
}[VariableName]
export type PlainName = Exclude<VariableName, SecretName>

/** The names of the variables that have a default value of type `A`. */
export type NameWithDefault<A> = {
  [Name in VariableName]: (typeof variables)[Name] extends { readonly defaultValue: A } ? Name : never
}[VariableName]
