import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { buffer } from "node:stream/consumers"
import { Stripe } from "stripe"
import { assert } from "vitest"
import {
  startStripeSimulator,
  type StripeSimulator,
  type StripeSimulatorOptions
} from "../../../simulators/stripe/StripeSimulator.ts"
import { objectComplaints } from "./Schemas.ts"

export const webhookSecret = "whsec_of_the_tests"

/** A receiver of webhooks that verifies them with the SDK. */
const startReceiver = async () => {
  const events: Array<Stripe.Event> = []
  const refused: Array<string> = []
  const secrets = [webhookSecret]
  const answers: Array<number> = []
  const server = createServer(async (request, response) => {
    const body = await buffer(request)
    const next = answers.shift()
    if (next !== undefined) return response.writeHead(next, { location: "/elsewhere" }).end()
    try {
      const signature = request.headers["stripe-signature"] ?? ""
      events.push(Stripe.webhooks.constructEvent(body, signature, secrets[0] ?? ""))
      return response.end("{}")
    } catch (error) {
      refused.push(error instanceof Error ? error.message : String(error))
      return response.writeHead(400).end()
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`,
    /** The accepted events, in order of arrival. */
    events,
    /** The errors of the refused ones. */
    refused,
    /** The first one is used. */
    secrets,
    /** Statuses of the next answers, without verification. */
    answers,
    types: () => events.map(({ type }) => type),
    stop: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

export const makeStripe = (
  { host, port }: StripeSimulator,
  key = "sk_test_simulated",
  config: Partial<Stripe.StripeConfig> = {}
) => new Stripe(key, { host, port, protocol: "http", maxNetworkRetries: 0, telemetry: false, ...config })

export const startHarness = async (options: StripeSimulatorOptions = {}) => {
  const receiver = await startReceiver()
  const simulator = await startStripeSimulator({
    webhooks: [{ url: receiver.url, secret: webhookSecret }],
    webhookRetryMillis: [10, 20],
    ...options
  })
  const stripe = makeStripe(simulator)

  const checkout = async (input: Partial<Stripe.Checkout.SessionCreateParams> = {}) =>
    stripe.checkout.sessions.create({
      mode: "subscription",
      line_items: [{ price: simulator.priceId, quantity: 1 }],
      success_url: "http://app.test/return?session_id={CHECKOUT_SESSION_ID}",
      cancel_url: "http://app.test/cancelled",
      ...input
    })

  return {
    simulator,
    stripe,
    receiver,
    checkout,
    /** A customer with a paid subscription. */
    subscribe: async () => {
      const customer = await stripe.customers.create({ email: "ada@example.com" })
      const session = await checkout({ customer: customer.id })
      const id = simulator.checkout({ session: session.id, action: "pay" }).subscription
      return { customer: customer.id, session: session.id, id: present(id) }
    },
    /** The violations of Stripe's schemas by the objects of the simulator. */
    complaints: () => [
      ...new Set(
        Object.values(simulator.snapshot().state.objects).flatMap((objects) => Object.values(objects).flatMap(objectComplaints))
      )
    ],
    /** Resets the simulator and the receiver, after the last webhook has arrived. */
    reset: async () => {
      await simulator.idle()
      simulator.reset()
      receiver.events.length = 0
      receiver.refused.length = 0
      receiver.answers.length = 0
      receiver.secrets.splice(0, Infinity, webhookSecret)
    },
    stop: async () => {
      await simulator.stop()
      receiver.stop()
    }
  }
}

export const present = <T>(value: T | null | undefined): T => {
  assert.isOk(value)
  return value as T
}

/** The error of a call that must fail. */
export const refusal = async (call: Promise<unknown>): Promise<Stripe.errors.StripeError> => {
  const outcome = await call.then(
    (value) => value,
    (error: unknown) => error
  )
  assert.instanceOf(outcome, Stripe.errors.StripeError, `answered ${JSON.stringify(outcome)}`)
  return outcome
}

export const press = (url: string | null | undefined, fields: Record<string, string>) =>
  fetch(present(url), { method: "POST", body: new URLSearchParams(fields), redirect: "manual" })

export const periodOf = (subscription: Stripe.Subscription) => {
  const { current_period_end: end, current_period_start: start } = present(subscription.items.data[0])
  return { start, end }
}

export const isoDay = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10)
