import { globSync, readFileSync } from "node:fs"
import { ConfigProvider, Effect, Exit, Layer, Redacted } from "effect"
import { assert, describe, it } from "vitest"
import { AppConfig, type Settings } from "../../src/config/Settings.ts"
import { SettingError } from "../../src/config/Reading.ts"
import { variables } from "../../src/config/Variables.ts"
import { base64, goodKey, production } from "./production.ts"

type Environment = Readonly<Record<string, string | undefined>>

const isSet = (entry: [string, string | undefined]): entry is [string, string] => entry[1] !== undefined

const load = (environment: Environment): Promise<Exit.Exit<Settings, SettingError>> => {
  const provider = ConfigProvider.layer(ConfigProvider.fromUnknown(Object.fromEntries(Object.entries(environment).filter(isSet))))
  return Effect.runPromise(Effect.exit(AppConfig.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(provider))))))
}

const settings = async (environment: Environment): Promise<Settings> => {
  const exit = await load(environment)
  if (Exit.isFailure(exit)) throw new Error(`refused: ${String(exit.cause)}`)
  return exit.value
}

/** The message of the error with which these settings are refused. */
const refusal = async (environment: Environment): Promise<string> => {
  const exit = await Effect.runPromise(
    Effect.flip(Effect.flatten(Effect.promise(() => load(environment)))).pipe(Effect.orElseSucceed(() => undefined))
  )
  if (exit === undefined) throw new Error("these settings were accepted")
  assert.instanceOf(exit, SettingError)
  return exit.message
}

const test = { APP_ENV: "test", DATABASE_URL: "postgres://app:database-password@db.example/chat" }

const moderation = {
  MODERATION_URL: "https://moderation.example/token-of-the-path",
  MODERATION_SECRET: "0123456789-the-key-of-moderation"
}
const gateway = {
  OTP_DELIVERY: "webhook",
  OTP_WEBHOOK_URL: "https://gateway.example/token-of-the-path/codes?to=sms",
  OTP_WEBHOOK_SECRET: "0123456789-the-key-of-the-gateway"
}
const stripe = {
  BILLING: "on",
  STRIPE_SECRET_KEY: "sk_test_hunter2",
  STRIPE_WEBHOOK_SECRETS: "whsec_hunter2hunter2hunter2",
  STRIPE_PRO_PRICE_ID: "price_pro"
}

describe("SHARING", () => {
  it("is off in production and public elsewhere, unless it is set", async () => {
    assert.strictEqual((await settings({ ...production, BILLING: "off" })).sharing, "off")
    assert.strictEqual((await settings(test)).sharing, "public")
    assert.strictEqual((await settings({ ...production, BILLING: "off", SHARING: "users" })).sharing, "users")
    assert.strictEqual(await refusal({ ...test, SHARING: "all" }), "SHARING: must be one of off, users, public")
  })
})

describe("a setting that is not set", () => {
  it("has its default", async () => {
    const { jwtKeys, ...rest } = await settings({ ...production, BILLING: "off" })
    const {
      appUrl,
      basicDailyPrompts,
      corsOrigins,
      environment,
      gemini,
      host,
      jwtTtl,
      logLevel,
      plans: [{ dailyPrompts: proDailyPrompts } = { dailyPrompts: undefined }],
      port,
      requestConcurrency,
      drainDelay,
      role,
      workerConcurrency
    } = rest
    assert.deepStrictEqual(
      {
        appUrl,
        basicDailyPrompts,
        corsOrigins,
        environment,
        host,
        jwtTtl,
        logLevel,
        port,
        proDailyPrompts,
        requestConcurrency,
        drainDelay,
        role,
        workerConcurrency
      },
      {
        appUrl: "https://chat.example",
        basicDailyPrompts: 5,
        corsOrigins: [],
        environment: "production",
        host: "0.0.0.0",
        jwtTtl: 3600,
        logLevel: "Info",
        port: 3000,
        proDailyPrompts: 1000,
        requestConcurrency: 64,
        drainDelay: 0,
        role: "all",
        workerConcurrency: 100
      }
    )
    assert.strictEqual(rest.defaultModel, "gemini-3.8-flash")
    assert.deepStrictEqual([rest.dailySearches, rest.searchPrice], [{ basic: 0, pro: 100 }, 14_000])
    assert.strictEqual(gemini.apiVersion, "v1beta")
    assert.isUndefined(gemini.baseUrl)
    assert.isUndefined(rest.apiPrefix)
    assert.strictEqual(rest.migrate, true)
    assert.strictEqual(rest.databaseDirect, rest.database)
    assert.isFalse(rest.isPooled)
    assert.strictEqual(jwtKeys.length, 1)
  })

  it("has local defaults in development: loopback address, codes in responses, links to localhost", async () => {
    const { appUrl, host, otpDelivery } = await settings({ ...test, APP_ENV: "development", PORT: "4000" })
    assert.deepStrictEqual(
      { appUrl, host, otpDelivery },
      { appUrl: "http://localhost:4000", host: "127.0.0.1", otpDelivery: "response" }
    )
  })

  it("gives every process outside production a generated key", async () => {
    const keys = await Promise.all([settings(test), settings(test)])
    const [one, other] = keys.map(({ jwtKeys: [key] }) => Redacted.value(key.secret))
    assert.strictEqual(one?.length, 32)
    assert.notDeepEqual(one, other)
  })
})

describe("a setting that is set", () => {
  it("limits and prices searches", async () => {
    const searches = { BASIC_DAILY_SEARCHES: "3", PRO_DAILY_SEARCHES: "0", SEARCH_PRICE_PER_1000: "0.25" }
    const { dailySearches, searchPrice } = await settings({ ...production, ...searches })
    assert.deepStrictEqual([dailySearches, searchPrice], [{ basic: 3, pro: 0 }, 250])
    assert.match(await refusal({ ...production, PRO_DAILY_SEARCHES: "-1" }), /^PRO_DAILY_SEARCHES: must be a whole number/)
    assert.match(await refusal({ ...production, SEARCH_PRICE_PER_1000: "$14" }), /^SEARCH_PRICE_PER_1000: must be US dollars/)
  })

  it("names the folder of the playground, which is then the front end", async () => {
    const own = await settings({ ...test, PLAYGROUND: "web", APP_URL: "https://chat.example" })
    assert.strictEqual(own.playground, "web")
    assert.strictEqual(own.frontEnd.afterPortal, "https://chat.example/?billing=portal")
    const elsewhere = await settings({ ...test, PLAYGROUND: "web", FRONTEND_URL: "https://app.example" })
    assert.strictEqual(elsewhere.frontEnd.afterPortal, "https://app.example/?billing=portal")
    for (const PLAYGROUND of ["on", "off"]) assert.isUndefined((await settings({ ...test, PLAYGROUND })).playground)
  })

  it("replaces the default", async () => {
    const taken = await settings({
      ...production,
      ROLE: "worker",
      PORT: "0",
      HOST: "::1",
      DATABASE_DIRECT_URL: "postgresql://direct.example/chat",
      JWT_TTL: "600",
      GEMINI_MODEL: "gemini-2.5-pro",
      GEMINI_BASE_URL: "http://127.0.0.1:9000/",
      GEMINI_API_VERSION: "v1",
      APP_URL: "https://chat.example/app/",
      BASIC_DAILY_PROMPTS: "1",
      PRO_DAILY_PROMPTS: "0",
      WORKER_CONCURRENCY: "7",
      REQUEST_CONCURRENCY: "9",
      DRAIN_DELAY: "8",
      CORS_ORIGINS: "https://a.example, http://localhost:5173",
      API_PREFIX: "/api/v1",
      LOG_LEVEL: "warn",
      MIGRATE: "off"
    })
    const {
      apiPrefix,
      appUrl,
      basicDailyPrompts,
      corsOrigins,
      databaseDirect,
      defaultModel,
      gemini,
      host,
      jwtTtl,
      logLevel,
      migrate,
      plans: [{ dailyPrompts: proDailyPrompts } = { dailyPrompts: undefined }],
      port,
      requestConcurrency,
      drainDelay,
      role,
      workerConcurrency
    } = taken
    assert.deepStrictEqual(
      {
        apiPrefix,
        appUrl,
        basicDailyPrompts,
        corsOrigins,
        databaseDirect: [databaseDirect.host, databaseDirect.port, databaseDirect.database],
        baseUrl: gemini.baseUrl,
        model: defaultModel,
        apiVersion: gemini.apiVersion,
        host,
        jwtTtl,
        logLevel,
        migrate,
        port,
        proDailyPrompts,
        requestConcurrency,
        drainDelay,
        role,
        workerConcurrency
      },
      {
        apiPrefix: "/api/v1",
        appUrl: "https://chat.example/app",
        basicDailyPrompts: 1,
        corsOrigins: ["https://a.example", "http://localhost:5173"],
        databaseDirect: ["direct.example", 5432, "chat"],
        baseUrl: "http://127.0.0.1:9000",
        model: "gemini-2.5-pro",
        apiVersion: "v1",
        host: "::1",
        jwtTtl: 600,
        logLevel: "Warn",
        migrate: false,
        port: 0,
        proDailyPrompts: 0,
        requestConcurrency: 9,
        drainDelay: 8,
        role: "worker",
        workerConcurrency: 7
      }
    )
  })

  it("lists several keys, the signing key first", async () => {
    const { jwtKeys } = await settings({
      ...production,
      JWT_KEYS: `new:${base64("the-new-key-that-signs-from-now-on")}, old:${base64("the-old-key-that-is-being-retired!")}`
    })
    assert.deepStrictEqual(
      jwtKeys.map(({ kid }) => kid),
      ["new", "old"]
    )
  })

  it("accepts a key that a test writes by hand, except in production", async () => {
    for (const key of [new Uint8Array(32), "a".repeat(32), "test-secret-of-a-suite-that-is-long"]) {
      const { jwtKeys } = await settings({ ...test, JWT_KEYS: `k1:${base64(key)}` })
      assert.strictEqual(jwtKeys[0].kid, "k1")
      assert.match(await refusal({ ...production, JWT_KEYS: `k1:${base64(key)}` }), /^JWT_KEYS: key 1 /)
    }
  })

  it("accepts one base64 key without a name, as platforms generate it, and lets it be rotated", async () => {
    const generated = base64("a 256-bit value of a platform's...")
    const alone = await settings({ ...production, JWT_KEYS: generated })
    assert.deepStrictEqual(
      alone.jwtKeys.map(({ kid, secret }) => [kid, base64(Redacted.value(secret))]),
      [["default", generated]]
    )
    const rotated = await settings({
      ...production,
      JWT_KEYS: `new:${base64("the-new-key-that-signs-from-now-on")},${generated}`
    })
    assert.deepStrictEqual(
      rotated.jwtKeys.map(({ kid }) => kid),
      ["new", "default"]
    )
  })

  it("uses the address that Render sets, unless APP_URL is set", async () => {
    const onRender = { ...production, APP_URL: undefined, RENDER_EXTERNAL_URL: "https://chat.onrender.com" }
    assert.strictEqual((await settings(onRender)).appUrl, "https://chat.onrender.com")
    assert.strictEqual((await settings({ ...onRender, APP_URL: "https://chat.example" })).appUrl, "https://chat.example")
  })

  it("allows any origin with *", async () => {
    assert.deepStrictEqual((await settings({ ...production, CORS_ORIGINS: "*" })).corsOrigins, ["*"])
  })

  it("allows codes in responses in production with OTP_DEMO_MODE", async () => {
    const demo = await settings({
      ...production,
      OTP_DELIVERY: "response",
      OTP_DEMO_MODE: "anyone-can-log-in",
      STRIPE_SECRET_KEY: "sk_test_1"
    })
    assert.strictEqual(demo.otpDelivery, "response")
  })

  it("names a gateway for codes: https in production, http also outside it", async () => {
    const { otpDelivery, otpWebhook } = await settings({ ...production, ...gateway })
    assert.strictEqual(otpDelivery, "webhook")
    assert.strictEqual(Redacted.value(otpWebhook?.url ?? Redacted.make("")), gateway.OTP_WEBHOOK_URL)
    assert.strictEqual(Redacted.value(otpWebhook?.secret ?? Redacted.make("")), gateway.OTP_WEBHOOK_SECRET)
    const local = await settings({ ...test, ...gateway, OTP_WEBHOOK_URL: "http://127.0.0.1:9000/codes" })
    assert.strictEqual(local.otpDelivery, "webhook")
  })

  it("ignores the gateway when another delivery is chosen", async () => {
    const taken = await settings({ ...production, ...gateway, OTP_DELIVERY: "log", OTP_WEBHOOK_URL: "http://nowhere" })
    assert.deepStrictEqual([taken.otpDelivery, taken.otpWebhook], ["log", undefined])
  })

  it("uses the gateway with OTP_DELIVERY=none", async () => {
    const { otpWebhook } = await settings({ ...production, ...gateway, OTP_DELIVERY: "none" })
    assert.strictEqual(otpWebhook && Redacted.value(otpWebhook.url), gateway.OTP_WEBHOOK_URL)
    assert.isUndefined((await settings({ ...production, OTP_DELIVERY: "none" })).otpWebhook)
  })

  it("keeps files in Postgres, or in a bucket whose key it never shows", async () => {
    const plain = await settings(production)
    assert.deepStrictEqual([plain.s3, plain.attachments], [undefined, "all"])
    assert.deepStrictEqual(plain.storageBytes, { basic: 200 * 1_048_576, pro: 5_120 * 1_048_576 })
    const bucket = {
      S3_ENDPOINT: "https://s3.example/",
      S3_BUCKET: "files",
      S3_ACCESS_KEY_ID: "AKIDEXAMPLE",
      S3_SECRET_ACCESS_KEY: "the-secret-of-the-bucket"
    }
    const { s3 } = await settings({ ...production, ...bucket, S3_REGION: "eu-west-1", ATTACHMENTS: "pro" })
    assert.deepStrictEqual(
      [s3?.endpoint, s3?.name, s3?.region, s3?.accessKeyId],
      ["https://s3.example", "files", "eu-west-1", "AKIDEXAMPLE"]
    )
    assert.strictEqual(s3 && Redacted.value(s3.secretAccessKey), bucket.S3_SECRET_ACCESS_KEY)
    assert.notInclude(JSON.stringify(s3), bucket.S3_SECRET_ACCESS_KEY)
    assert.match(await refusal({ ...production, ...bucket, S3_ENDPOINT: "http://s3.example" }), /^S3_ENDPOINT: must be a URL/)
    assert.strictEqual(
      (await settings({ ...test, ...bucket, S3_ENDPOINT: "http://127.0.0.1:9000" })).s3?.endpoint,
      "http://127.0.0.1:9000"
    )
    for (const name of ["S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]) {
      assert.strictEqual(await refusal({ ...production, ...bucket, [name]: undefined }), `${name}: is required with S3_ENDPOINT`)
    }
    assert.match(await refusal({ ...production, ...bucket, S3_BUCKET: "a/b" }), /^S3_BUCKET: must be/)
    assert.match(await refusal({ ...production, ATTACHMENTS: "some" }), /^ATTACHMENTS: must be one of all, pro, off/)
  })

  it("names a gateway for moderation, which is off by default and closed by default", async () => {
    assert.isUndefined((await settings(production)).moderation)
    const { moderation: closed } = await settings({ ...production, ...moderation })
    assert.strictEqual(closed?.fail, "closed")
    assert.strictEqual(closed && Redacted.value(closed.gateway.url), moderation.MODERATION_URL)
    assert.strictEqual(closed && Redacted.value(closed.gateway.secret), moderation.MODERATION_SECRET)
    const local = await settings({ ...test, ...moderation, MODERATION_URL: "http://127.0.0.1:9000", MODERATION_FAIL: "open" })
    assert.strictEqual(local.moderation?.fail, "open")
  })

  it("lists the countries that codes go to, all by default", async () => {
    assert.deepStrictEqual((await settings({ ...test, OTP_COUNTRIES: "IN, US" })).otpCountries, new Set(["IN", "US"] as const))
    assert.isUndefined((await settings(test)).otpCountries)
    assert.strictEqual((await settings({ ...test, DEFAULT_REGION: "IN" })).defaultRegion, "IN")
    assert.isUndefined((await settings(test)).defaultRegion)
  })

  it("lists several prices, the sold one first", async () => {
    const { plans } = await settings({ ...production, ...stripe, STRIPE_PRO_PRICE_ID: "price_new, price_old" })
    assert.deepStrictEqual(plans[0]?.prices, [{ interval: undefined, sold: "price_new", former: ["price_old"] }])
  })

  it("reads plans from the lowest to the highest, with the defaults of Pro", async () => {
    const PLANS = JSON.stringify([
      { id: "lite", name: "Lite", prices: { month: "price_a, price_b" } },
      {
        id: "max-2",
        name: "Max",
        prices: { year: "price_d", month: "price_c" },
        dailyPrompts: 0,
        dailyBudget: 0.5,
        trialDays: 14
      },
      { id: "own", name: "Own", prices: { year: "price_e" }, dailyBudget: null }
    ])
    const { STRIPE_PRO_PRICE_ID: _unread, ...others } = stripe
    const { models, plans } = await settings({
      ...production,
      ...others,
      PLANS,
      PRO_DAILY_PROMPTS: "7",
      PRO_DAILY_BUDGET: "2"
    })
    assert.deepStrictEqual(plans, [
      {
        id: "lite",
        name: "Lite",
        prices: [{ interval: "month", sold: "price_a", former: ["price_b"] }],
        dailyPrompts: 7,
        dailyBudget: 2_000_000,
        trialDays: 0
      },
      {
        id: "max-2",
        name: "Max",
        prices: [
          { interval: "month", sold: "price_c", former: [] },
          { interval: "year", sold: "price_d", former: [] }
        ],
        dailyPrompts: 0,
        dailyBudget: 500_000,
        trialDays: 14
      },
      {
        id: "own",
        name: "Own",
        prices: [{ interval: "year", sold: "price_e", former: [] }],
        dailyPrompts: 7,
        dailyBudget: undefined,
        trialDays: 0
      }
    ])
    // The catalogue that ships gives every plan what it gives Pro.
    const paid = models.find(({ id }) => id === "gemini-3.1-pro-preview")
    assert.deepStrictEqual(paid?.tiers, ["lite", "max-2", "own"])
    assert.deepStrictEqual(paid?.contextTokens, { basic: 32_000, lite: 128_000, "max-2": 128_000, own: 128_000 })
  })

  it("gives a plan that a catalogue does not name the value of the next lower one", async () => {
    const [model] = (await settings(test)).models
    const PLANS = JSON.stringify(["lite", "pro", "max"].map((id) => ({ id, name: id, prices: { month: `price_${id}` } })))
    const MODELS = JSON.stringify([
      {
        ...model,
        tiers: ["basic", "max"],
        tools: { basic: [], pro: ["search"] },
        maxOutputTokens: { basic: 10, pro: 20 },
        contextTokens: { basic: 100, lite: 200, max: 300 }
      }
    ])
    const [read] = (await settings({ ...test, PLANS, MODELS })).models
    assert.deepStrictEqual(read?.maxOutputTokens, { basic: 10, lite: 10, pro: 20, max: 20 })
    assert.deepStrictEqual(read?.contextTokens, { basic: 100, lite: 200, pro: 200, max: 300 })
    assert.deepStrictEqual(read?.tools, { basic: [], lite: [], pro: ["search"], max: ["search"] })
    assert.strictEqual(await refusal({ ...test, MODELS }), `MODELS: gives ${model?.id} to max, which is neither basic nor a plan`)
  })

  it("refuses plans that do not fit together", async () => {
    const plan = { id: "pro", name: "Pro", prices: { month: "price_a" } }
    const refused = async (...plans: ReadonlyArray<object>) => refusal({ ...production, ...stripe, PLANS: JSON.stringify(plans) })
    assert.strictEqual(await refused(plan, plan), "PLANS: names the plan pro twice")
    assert.strictEqual(await refused(plan, { ...plan, id: "max" }), "PLANS: names the price price_a twice")
    assert.strictEqual(await refused({ ...plan, prices: {} }), "PLANS: must give pro a price by the month or by the year")
    for (const wrong of [
      { id: "basic" },
      { id: "Pro" },
      { name: "" },
      { trialDays: 731 },
      { trialDays: 1.5 },
      { dailyBudget: 0 },
      { dailyPrompts: -1 },
      { prices: { month: "" } },
      { prices: { month: "price_a,,price_b" } }
    ])
      assert.match(await refused({ ...plan, ...wrong }), /^PLANS: does not fit: /, JSON.stringify(wrong))
    assert.match(await refused(), /^PLANS: does not fit: /)
    assert.strictEqual(await refusal({ ...test, PLANS: "[" }), "PLANS: is not JSON")
    assert.strictEqual(
      await refusal({ ...test, PLANS: "/no/such/file.json" }),
      "PLANS: must be a JSON array, or the path of a file that can be read"
    )
    assert.strictEqual(await refusal({ ...production, ...stripe, STRIPE_TAX: "yes" }), "STRIPE_TAX: must be one of off, on")
  })

  it("hides secrets in JSON, in strings and in inspect", async () => {
    const taken = await settings({ ...production, ...gateway, DATABASE_DIRECT_URL: "postgres://u:direct-password@h/d" })
    const printed = `${JSON.stringify(taken)} ${String(taken.database.password)} ${(await import("node:util")).inspect(taken, { depth: 9 })}`
    for (const secret of [
      "database-password",
      "direct-password",
      "gemini-api-key",
      "token-of-the-path",
      gateway.OTP_WEBHOOK_SECRET,
      base64("0123456789abcdef0123456789ABCDEF"),
      "48, 49, 50"
    ]) {
      assert.notInclude(printed, secret)
    }
  })
})

describe("a setting that is not usable", () => {
  const inTest: ReadonlyArray<readonly [setting: string, why: string, environment: Environment]> = [
    ["DATABASE_URL", "missing", { ...test, DATABASE_URL: undefined }],
    ["DATABASE_URL", "not a URL", { ...test, DATABASE_URL: "db.example:5432 password=hunter2" }],
    ["DATABASE_URL", "of another database", { ...test, DATABASE_URL: "mysql://root:hunter2@db.example/chat" }],
    ["DATABASE_DIRECT_URL", "not a URL", { ...test, DATABASE_DIRECT_URL: "hunter2" }],
    ["APP_ENV", "unknown", { ...test, APP_ENV: "staging" }],
    ["APP_ENV", "in capitals", { ...test, APP_ENV: "Production" }],
    ["ROLE", "unknown", { ...test, ROLE: "api,worker" }],
    ...["eighty", "-1", "65536", "80.5", "3e3", "0x50", " ", "80 ", "NaN", "Infinity", "99999999999999999999"].map(
      (PORT) => ["PORT", JSON.stringify(PORT), { ...test, PORT }] as const
    ),
    ["JWT_TTL", "0", { ...test, JWT_TTL: "0" }],
    ["JWT_TTL", "over a day", { ...test, JWT_TTL: "86401" }],
    ["JWT_TTL", "with a unit", { ...test, JWT_TTL: "1h" }],
    ["BASIC_DAILY_PROMPTS", "0", { ...test, BASIC_DAILY_PROMPTS: "0" }],
    ["PRO_DAILY_PROMPTS", "negative", { ...test, PRO_DAILY_PROMPTS: "-1" }],
    ["REQUEST_CONCURRENCY", "0", { ...test, REQUEST_CONCURRENCY: "0" }],
    ["DRAIN_DELAY", "longer than a shutdown may take", { ...test, DRAIN_DELAY: "9" }],
    ["WORKER_CONCURRENCY", "0", { ...test, WORKER_CONCURRENCY: "0" }],
    ["WEB_CONCURRENCY", "0", { ...test, WEB_CONCURRENCY: "0" }],
    ["WORKER_CONCURRENCY", "too many", { ...test, WORKER_CONCURRENCY: "100000" }],
    ["OTP_DELIVERY", "unknown", { ...test, OTP_DELIVERY: "sms" }],
    ...["India", "in", "IN,XX", "IN US", "001", "+91"].map(
      (OTP_COUNTRIES) => ["OTP_COUNTRIES", OTP_COUNTRIES, { ...test, OTP_COUNTRIES }] as const
    ),
    ...["India", "in", "IN,US", "001"].map(
      (DEFAULT_REGION) => ["DEFAULT_REGION", DEFAULT_REGION, { ...test, DEFAULT_REGION }] as const
    ),
    ...["Gemini 3", "models/gemini-3.8-flash", "gemini_pro", "x".repeat(101), "../v1/models"].map(
      (GEMINI_MODEL) => ["GEMINI_MODEL", GEMINI_MODEL.slice(0, 30), { ...test, GEMINI_MODEL }] as const
    ),
    ["GEMINI_BASE_URL", "not a URL", { ...test, GEMINI_BASE_URL: "generativelanguage.googleapis.com" }],
    ["GEMINI_BASE_URL", "another protocol", { ...test, GEMINI_BASE_URL: "file:///etc/passwd" }],
    ["APP_URL", "not a URL", { ...test, APP_URL: "chat.example" }],
    ["APP_URL", "a script", { ...test, APP_URL: "javascript:alert(1)" }],
    ["LOG_LEVEL", "unknown", { ...test, LOG_LEVEL: "verbose" }],
    ["MIGRATE", "unknown", { ...test, MIGRATE: "false" }],
    ["PLAYGROUND", "a folder without a page", { ...test, PLAYGROUND: "src" }],
    ...["api", "/api/", "/", "/a b", "/api?", "//api"].map(
      (API_PREFIX) => ["API_PREFIX", API_PREFIX, { ...test, API_PREFIX }] as const
    ),
    ...["a.example", "https://a.example/", "https://a.example,b.example", "https://A.example", "null", "*,https://a.example"].map(
      (CORS_ORIGINS) => ["CORS_ORIGINS", CORS_ORIGINS, { ...test, CORS_ORIGINS }] as const
    )
  ]
  const inProduction: typeof inTest = [
    ["ADMIN_TOKEN", "short", { ...production, ADMIN_TOKEN: "fifteen letters" }],
    ["ADMIN_TOKEN", "one of two short", { ...production, ADMIN_TOKEN: "a-token-of-more-letters,fifteen letters" }],
    ["STRIPE_WEBHOOK_SECRETS", "short", { ...production, ...stripe, STRIPE_WEBHOOK_SECRETS: "whsec_x" }],
    ["JWT_KEYS", "of two letters", { ...production, JWT_KEYS: `k1:${base64("ab".repeat(20))}` }],
    ["JWT_KEYS", "of one word again and again", { ...production, JWT_KEYS: `k1:${base64("chat-backend".repeat(4))}` }],
    ["JWT_KEYS", "missing", { ...production, JWT_KEYS: undefined }],
    ["GEMINI_API_KEY", "missing", { ...production, GEMINI_API_KEY: undefined }],
    ["APP_URL", "missing", { ...production, APP_URL: undefined }],
    ["OTP_DELIVERY", "missing", { ...production, OTP_DELIVERY: undefined }],
    ["OTP_DELIVERY", "response without OTP_DEMO_MODE", { ...production, OTP_DELIVERY: "response" }],
    ["OTP_DELIVERY", "response with another OTP_DEMO_MODE", { ...production, OTP_DELIVERY: "response", OTP_DEMO_MODE: "true" }],
    [
      "OTP_DELIVERY",
      "response with a live Stripe key",
      { ...production, OTP_DELIVERY: "response", OTP_DEMO_MODE: "anyone-can-log-in", STRIPE_SECRET_KEY: "sk_live_hunter2" }
    ],
    [
      "OTP_DELIVERY",
      "response with a live restricted key",
      { ...production, OTP_DELIVERY: "response", OTP_DEMO_MODE: "anyone-can-log-in", STRIPE_SECRET_KEY: "rk_live_hunter2" }
    ]
  ]
  const hooks: typeof inTest = [
    ["OTP_WEBHOOK_URL", "missing", { ...test, ...gateway, OTP_WEBHOOK_URL: undefined }],
    ["OTP_WEBHOOK_URL", "not a URL", { ...test, ...gateway, OTP_WEBHOOK_URL: "gateway.example/hunter2" }],
    ["OTP_WEBHOOK_URL", "another protocol", { ...test, ...gateway, OTP_WEBHOOK_URL: "ftp://gateway.example/hunter2" }],
    ["OTP_WEBHOOK_URL", "a file", { ...test, ...gateway, OTP_WEBHOOK_URL: "file:///hunter2" }],
    ["OTP_WEBHOOK_URL", "with a password", { ...test, ...gateway, OTP_WEBHOOK_URL: "https://u:hunter2@gateway.example" }],
    ["OTP_WEBHOOK_URL", "with a user", { ...test, ...gateway, OTP_WEBHOOK_URL: "https://hunter2@gateway.example" }],
    ["OTP_WEBHOOK_URL", "http in production", { ...production, ...gateway, OTP_WEBHOOK_URL: "http://gateway.example/hunter2" }],
    ["OTP_WEBHOOK_URL", "loopback in production", { ...production, ...gateway, OTP_WEBHOOK_URL: "http://127.0.0.1/hunter2" }],
    ["MODERATION_URL", "http in production", { ...production, ...moderation, MODERATION_URL: "http://gateway.example/hunter2" }],
    ["MODERATION_URL", "with a password", { ...test, ...moderation, MODERATION_URL: "https://u:hunter2@gateway.example" }],
    ["MODERATION_SECRET", "missing", { ...test, ...moderation, MODERATION_SECRET: undefined }],
    ["MODERATION_SECRET", "short", { ...test, ...moderation, MODERATION_SECRET: "hunter2-hunter2-hunter2-hunter2" }],
    ["MODERATION_FAIL", "unknown", { ...test, ...moderation, MODERATION_FAIL: "hunter2" }],
    ["OTP_WEBHOOK_SECRET", "missing", { ...test, ...gateway, OTP_WEBHOOK_SECRET: undefined }],
    ["OTP_WEBHOOK_SECRET", "short", { ...test, ...gateway, OTP_WEBHOOK_SECRET: "hunter2-hunter2-hunter2-hunter2" }],
    ["OTP_WEBHOOK_SECRET", "well known", { ...test, ...gateway, OTP_WEBHOOK_SECRET: `changeme-${"hunter2".repeat(5)}` }],
    ["OTP_DELIVERY", "missing with a gateway", { ...production, ...gateway, OTP_DELIVERY: undefined }],
    ...["", " ", "price_new,", ",price_old", "price_new,,price_old"].map(
      (STRIPE_PRO_PRICE_ID) =>
        ["STRIPE_PRO_PRICE_ID", JSON.stringify(STRIPE_PRO_PRICE_ID), { ...production, ...stripe, STRIPE_PRO_PRICE_ID }] as const
    )
  ]
  const keys: typeof inTest = [
    ["one short key without a name", "hunter2hunter2hunter2hunter2hunter2"],
    ["two keys without a name", `${base64("hunter2".repeat(5))},${base64("hunter2".repeat(6))}`],
    ["an empty name", `:${base64("hunter2hunter2hunter2hunter2hunter2")}`],
    ["an empty secret", "k1:"],
    ["a name with blanks", `k 1:${base64("hunter2hunter2hunter2hunter2hunter2")}`],
    ["not base64", "k1:hunter2 hunter2 hunter2 hunter2 hunter2 hunter2 hunter2!"],
    ["31 bytes", `k1:${base64("hunter2".repeat(5).slice(0, 31))}`],
    ["a short second key", `${goodKey},k2:${base64("hunter2")}`],
    ["name and secret swapped", "hunter2hunter2hunter2hunter2:k1"],
    ["a trailing comma", `${goodKey},`],
    ["two keys with the same name", `${goodKey},k1:${base64("hunter2hunter2hunter2hunter2hunter2")}`],
    ["from a tutorial", `k1:${base64("your-256-bit-secret-hunter2-hunter2-hunter2")}`],
    ["from another tutorial", `k1:${base64("supersecretsupersecretsupersecret-hunter2")}`],
    ["from a template", `k1:${base64("changeme-changeme-changeme-changeme-hunter2")}`],
    ["one repeated letter", `k1:${base64("a".repeat(40))}`],
    ["zeros", `k1:${base64(new Uint8Array(32))}`],
    ["line feeds", `k1:${base64(new Uint8Array(32).fill(10))}`]
  ].map(([why, JWT_KEYS]) => ["JWT_KEYS", why ?? "", { ...production, JWT_KEYS }] as const)

  it.each([...inTest, ...inProduction, ...hooks, ...keys])("refuses the start: %s %s", async (setting, _, environment) => {
    const line = await refusal(environment)
    assert.match(line, new RegExp(`^${setting}: [^\\n]+$`))
    for (const secret of ["hunter2", base64("hunter2").slice(0, 8), "database-password", "gemini-api-key"])
      assert.notInclude(line, secret)
  })
})

describe("the table of variables", () => {
  it("has only names that are read", () => {
    const readers = [...globSync("src/config/*.ts"), "dev/main.ts"]
      .filter((file) => !file.endsWith("/Variables.ts"))
      .map((file) => readFileSync(file, "utf8"))
      .join("")
    for (const name of Object.keys(variables)) assert.include(readers, `"${name}"`)
  })
})
