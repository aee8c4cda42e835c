import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import { Ajv2020 } from "ajv/dist/2020.js"
import { assert, describe, it } from "vitest"
import { parse } from "yaml"
import { clientAddress } from "../../src/http/ClientAddress.ts"
import { settingsFrom, type Variables } from "./settingsFrom.ts"
import schema from "./render.schema.json" with { type: "json" }

const read = (file: string) => parse(readFileSync(file, "utf8"))

/** Values that an operator would type. */
const typed: Variables = {
  APP_URL: "https://chat.example",
  GEMINI_API_KEY: "a-key-of-ai-studio",
  STRIPE_SECRET_KEY: "sk_live_1234",
  STRIPE_WEBHOOK_SECRETS: "whsec_1234567890abcdef",
  STRIPE_PRO_PRICE_ID: "price_1234"
}

const generated = () => randomBytes(32).toString("base64")

interface EnvVar {
  readonly key?: string
  readonly value?: string | number
  readonly generateValue?: boolean
  readonly sync?: boolean
  readonly fromDatabase?: { readonly name: string; readonly property: string }
  readonly fromService?: { readonly name: string; readonly type: string; readonly envVarKey: string }
  readonly fromGroup?: string
}
interface Service {
  readonly type: string
  readonly name: string
  readonly plan: string
  readonly healthCheckPath?: string
  readonly preDeployCommand?: string
  readonly envVars: ReadonlyArray<EnvVar>
}
interface Blueprint {
  readonly services: ReadonlyArray<Service>
  readonly databases: ReadonlyArray<{ readonly name: string; readonly plan: string; readonly postgresMajorVersion: string }>
  readonly envVarGroups?: ReadonlyArray<{ readonly name: string; readonly envVars: ReadonlyArray<EnvVar> }>
}

const named = <A extends { readonly name: string }>(list: ReadonlyArray<A> | undefined, name: string | undefined): A => {
  const found = list?.find((item) => item.name === name)
  if (found === undefined) throw new Error(`the blueprint has no ${name}`)
  return found
}

/** The environment Render gives each service of a blueprint. */
const deploy = (blueprint: Blueprint): Map<string, Variables> => {
  const secrets = new Map<string, string>()
  const secret = (owner: string, key: string) => {
    const id = `${owner}/${key}`
    if (!secrets.has(id)) secrets.set(id, generated())
    return secrets.get(id) ?? ""
  }
  const variable = (
    owner: string,
    { fromDatabase, fromGroup, fromService, generateValue, key = "", sync, value }: EnvVar
  ): Variables => {
    if (fromGroup !== undefined) return variables(fromGroup, named(blueprint.envVarGroups, fromGroup).envVars)
    if (fromService !== undefined) {
      const { envVars, name, type } = named(blueprint.services, fromService.name)
      assert.strictEqual(fromService.type, type)
      return { [key]: variables(name, envVars)[fromService.envVarKey] ?? "" }
    }
    if (fromDatabase !== undefined) {
      assert.strictEqual(fromDatabase.property, "connectionString")
      return { [key]: `postgres://u:p@${named(blueprint.databases, fromDatabase.name).name}/d` }
    }
    if (generateValue === true) return { [key]: secret(owner, key) }
    if (sync === false) return { [key]: typed[key] ?? "" }
    return { [key]: String(value) }
  }
  const variables = (owner: string, list: ReadonlyArray<EnvVar>): Variables =>
    Object.assign({}, ...list.map((envVar) => variable(owner, envVar)))
  return new Map(blueprint.services.map(({ envVars, name }) => [name, variables(name, envVars)]))
}

/** The variables that Render sets. */
const ofRender = ({ name, type }: Service): Variables =>
  type === "web" ? { PORT: "10000", RENDER_EXTERNAL_URL: `https://${name}.onrender.com` } : { RENDER_EXTERNAL_URL: "" }

const settingsOf = async (blueprint: Blueprint, name: string) => {
  const given = deploy(blueprint).get(name) ?? {}
  const { settings, unread } = await settingsFrom({ ...ofRender(named(blueprint.services, name)), ...given })
  assert.deepStrictEqual(unread, [], `${name} has a variable that no setting reads`)
  assert.deepStrictEqual(
    Object.entries(given).filter(([, value]) => value === ""),
    [],
    `${name} has an empty variable`
  )
  return settings
}

describe.each(["render.yaml", "render.paid.yaml"])("%s", (file) => {
  const blueprint: Blueprint = read(file)

  it("is valid by Render's schema", () => {
    const validate = new Ajv2020({ strict: false, allErrors: true }).compile(schema)
    validate(blueprint)
    assert.deepStrictEqual(validate.errors ?? [], [])
  })

  it("gives no variable twice", () => {
    for (const { envVars, name } of [...blueprint.services, ...(blueprint.envVarGroups ?? [])]) {
      const keys = envVars.map(({ fromGroup, key }) => key ?? fromGroup)
      assert.deepStrictEqual(keys, [...new Set(keys)], name)
    }
  })

  it("gives every service valid settings and no unknown variable", async () => {
    for (const { name } of blueprint.services) assert.strictEqual((await settingsOf(blueprint, name)).environment, "production")
  })

  it("trusts client addresses from Render's proxies only", async () => {
    for (const service of blueprint.services.filter(({ type }) => type === "web")) {
      const { trustedProxies } = await settingsOf(blueprint, service.name)
      const seen = (header: string, peer = "10.21.157.68") => clientAddress(peer, header, trustedProxies)
      assert.strictEqual(seen("203.0.113.7, 104.22.17.40"), "203.0.113.7")
      assert.strictEqual(seen("2001:db8::7, 2606:4700::1"), "2001:db8::7")
      assert.strictEqual(seen("198.51.100.1, 203.0.113.7, 104.22.17.40"), "203.0.113.7")
      // A client that sends from an address of Cloudflare's, with a header of its own.
      assert.strictEqual(seen("198.51.100.1, 104.22.17.99, 104.22.17.40"), "104.22.17.99")
      // A connection past Cloudflare.
      assert.isNull(seen("203.0.113.7", "198.51.100.1"))
    }
  })

  it("uses the Postgres version of development and /healthz as the health check", () => {
    assert.deepStrictEqual(
      blueprint.databases.map(({ postgresMajorVersion }) => postgresMajorVersion),
      ["18"]
    )
    for (const { healthCheckPath, type } of blueprint.services) {
      assert.strictEqual(healthCheckPath, type === "web" ? "/healthz" : undefined)
    }
  })
})

describe("the free blueprint", () => {
  const blueprint: Blueprint = read("render.yaml")

  it("uses free plans and one process for everything", async () => {
    assert.deepStrictEqual(
      [...blueprint.services, ...blueprint.databases].map(({ plan }) => plan),
      ["free", "free"]
    )
    const { appUrl, billing, migrate, otpDelivery, role } = await settingsOf(blueprint, "gemini-chat")
    assert.deepStrictEqual(
      { appUrl, billing, migrate, otpDelivery, role },
      { appUrl: "https://gemini-chat.onrender.com", billing: undefined, migrate: true, otpDelivery: "response", role: "all" }
    )
  })
})

describe("the paid blueprint", () => {
  const blueprint: Blueprint = read("render.paid.yaml")

  it("migrates before the deployment, bills live, and never returns a code", async () => {
    for (const { name, plan, preDeployCommand } of blueprint.services) {
      const { billing, migrate, otpDelivery } = await settingsOf(blueprint, name)
      assert.notStrictEqual(plan, "free")
      assert.strictEqual(preDeployCommand, "node dist/migrate.mjs")
      assert.deepStrictEqual(
        { isLive: billing?.isLive, migrate, otpDelivery },
        { isLive: true, migrate: false, otpDelivery: "log" }
      )
    }
  })

  it("gives the API and the worker the same keys and secrets", () => {
    const [api = {}, worker = {}] = [...deploy(blueprint).values()]
    assert.deepStrictEqual([api["ROLE"], worker["ROLE"]], ["api", "worker"])
    for (const [name, value] of Object.entries(worker)) if (name !== "ROLE") assert.strictEqual(value, api[name], name)
  })
})

describe("compose.yaml", () => {
  const compose = read("compose.yaml")

  /** The required variables with their error messages, and the environment of the app. */
  const interpolate = (environment: Variables, given: Variables) => {
    const asked = new Map<string, string>()
    const values = Object.entries(environment).map(([name, text]) => [
      name,
      text.replace(/\$\{(\w+):([?-])([^}]*)\}/g, (_, variable: string, kind: string, words: string) => {
        if (kind === "?") asked.set(variable, words)
        return given[variable] ?? (kind === "-" ? words : "")
      })
    ])
    return { asked, values: Object.fromEntries(values) as Variables }
  }

  it("requires a Gemini key and a token key, and gives the app valid settings", async () => {
    const { asked, values } = interpolate(compose.services.app.environment, { ...typed, JWT_KEYS: generated() })
    assert.deepStrictEqual([...asked.keys()], ["GEMINI_API_KEY", "JWT_KEYS"])
    for (const [name, words] of asked) assert.isAbove(words.length, 10, name)
    const { settings, unread } = await settingsFrom(values)
    assert.deepStrictEqual(unread, [])
    assert.strictEqual(settings.otpDelivery, "response")
    assert.strictEqual(settings.defaultModel, "gemini-3.8-flash")
  })

  it("starts the app after its Postgres is healthy, and gives it time to drain", () => {
    const { app, postgres } = compose.services
    assert.deepStrictEqual(app.depends_on, { postgres: { condition: "service_healthy" } })
    const { hostname, password, pathname, username } = new URL(app.environment.DATABASE_URL)
    assert.strictEqual(hostname, "postgres")
    const { POSTGRES_DB, POSTGRES_PASSWORD, POSTGRES_USER } = postgres.environment
    assert.deepStrictEqual([username, password, pathname], [POSTGRES_USER, POSTGRES_PASSWORD, `/${POSTGRES_DB}`])
    assert.strictEqual(postgres.image, "postgres:18")
    assert.deepStrictEqual(postgres.volumes, ["postgres:/var/lib/postgresql"])
    assert.strictEqual(app.stop_grace_period, "30s")
    for (const published of app.ports) assert.match(published, /^127\.0\.0\.1:/)
    assert.isUndefined(postgres.ports)
  })
})
