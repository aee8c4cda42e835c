import { Effect, Redacted } from "effect"
import { type Region, regions } from "../api/auth/Mobile.ts"
import type { Environment } from "./Environment.ts"
import { type Gateway, gatewayAt } from "./Gateway.ts"
import { fail, items, optional, optionalChoice, optionalSecret } from "./Reading.ts"

const deliveries = ["response", "log", "webhook", "none"] as const
export type Delivery = (typeof deliveries)[number]

/** How one-time codes are sent, and to which numbers. */
export interface CodeSettings {
  readonly otpDelivery: Delivery
  /** The gateway that codes are posted to, if there is one. */
  readonly otpWebhook: Gateway | undefined
  /** The countries whose numbers get codes; undefined for all. */
  readonly otpCountries: ReadonlySet<Region> | undefined
  /** The country whose numbers are also read without a country code, if there is one. */
  readonly defaultRegion: Region | undefined
}

const otpDelivery = Effect.fnUntraced(function* (environment: Environment) {
  const delivery = yield* optionalChoice("OTP_DELIVERY", deliveries)
  if (environment !== "production") return delivery ?? "response"
  if (delivery === undefined) return yield* fail("OTP_DELIVERY", `is required in production (${deliveries.join(", ")})`)
  if (delivery !== "response") return delivery
  if ((yield* optional("OTP_DEMO_MODE")) !== "anyone-can-log-in") {
    return yield* fail("OTP_DELIVERY", "response in production also needs OTP_DEMO_MODE=anyone-can-log-in")
  }
  const stripeKey = yield* optionalSecret("STRIPE_SECRET_KEY")
  if (stripeKey !== undefined && /_live_/.test(Redacted.value(stripeKey))) {
    return yield* fail("OTP_DELIVERY", "must not be response with a live Stripe key")
  }
  return delivery
})

const otpWebhook = Effect.fnUntraced(function* (environment: Environment, delivery: Delivery) {
  const target = yield* optionalSecret("OTP_WEBHOOK_URL")
  // `none` means a sender of the operator's own. A gateway is one, too.
  if (delivery !== "webhook" && (delivery !== "none" || target === undefined)) return undefined
  if (target === undefined) return yield* fail("OTP_WEBHOOK_URL", "is required with OTP_DELIVERY=webhook")
  return yield* gatewayAt(environment, target, "OTP_WEBHOOK_URL", "OTP_WEBHOOK_SECRET")
})

/** How codes are delivered, with the gateway that this needs. */
export const codeDelivery = Effect.fnUntraced(function* (environment: Environment) {
  const delivery = yield* otpDelivery(environment)
  return { otpDelivery: delivery, otpWebhook: yield* otpWebhook(environment, delivery) }
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

export const codeSettings = Effect.fnUntraced(function* (environment: Environment) {
  const delivery = yield* codeDelivery(environment)
  return { ...delivery, otpCountries: yield* otpCountries, defaultRegion: yield* defaultRegion }
})
