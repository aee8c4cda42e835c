import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { choice, fail, items, optionalSecret, optionalUrl } from "./Reading.ts"
import { minimumSecret } from "./Secrets.ts"

/** Stripe's account, as the server reaches it. */
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
