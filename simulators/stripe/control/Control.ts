import { setTimeout as sleep } from "node:timers/promises"
import type { Account } from "../Account.ts"
import { changePrice } from "../billing/Changing.ts"
import { actOnCheckout, type CheckoutAction, enterCode, settleCheckout } from "../billing/Checkout.ts"
import { setStatus } from "../billing/Collection.ts"
import { endSubscription } from "../billing/Ending.ts"
import { closeDispute, makeRefundOf, openDispute } from "../billing/Reversals.ts"
import { daySeconds } from "../objects/Base.ts"
import type { CheckoutSession } from "../objects/CheckoutSession.ts"
import type { Event } from "../objects/Event.ts"
import type { Charge } from "../objects/Payment.ts"
import type { Dispute, Refund } from "../objects/Reversal.ts"
import type { Subscription } from "../objects/Subscription.ts"
import { makeSecret } from "../resources/WebhookEndpoints.ts"
import type { Simulation, Snapshot } from "../Simulation.ts"
import type { Card } from "../State.ts"
import { missingResource } from "../wire/StripeError.ts"
import { forge, type Forgery } from "../webhooks/Forgery.ts"
import { post, type Receipt } from "../webhooks/Sender.ts"
import { realSeconds } from "../webhooks/Signature.ts"
import type { DeliveryEntry, Parcel, WebhookRule } from "../webhooks/Webhooks.ts"
import type { FaultRule } from "./FaultBook.ts"
import type { RequestEntry } from "./RequestLog.ts"

/** Steers the simulator. `POST /__control/<method>` with the argument as JSON or as a form does the same. */
export interface StripeSimulatorControl {
  /** Seconds since 1970 by the simulated clock. */
  now(): number
  /**
   * Moves the clock; renewals, retries and expiries that become due happen. A negative amount moves it back, to start
   * something in the past; nothing is undone. Returns the new time.
   */
  advance(input: { readonly seconds?: number | undefined; readonly days?: number | undefined }): number
  /** Sets how the customer's card behaves when a renewal is charged. */
  setCard(input: { readonly customer: string; readonly card: Card }): void
  /** Presses a button of the checkout page. */
  checkout(input: {
    readonly session: string
    readonly action: CheckoutAction
    readonly email?: string | null | undefined
  }): CheckoutSession
  /** Ends the delayed payment of a checkout that was paid `later`. */
  settlePayment(input: { readonly session: string; readonly outcome: "succeeded" | "failed" }): CheckoutSession
  /** Types a promotion code into the field of the checkout page. */
  enterCode(input: { readonly session: string; readonly code: string }): CheckoutSession
  /** Moves a subscription to another price, as the portal does. */
  changePrice(input: { readonly subscription: string; readonly price: string }): Subscription
  /** Any status, also one that Stripe does not have. */
  setSubscriptionStatus(input: { readonly subscription: string; readonly status: string }): Subscription
  /** `charge`: a charge, or a payment intent, invoice or subscription, whose last charge it is. */
  refund(input: { readonly charge: string; readonly amount?: number | undefined }): Refund
  openDispute(input: { readonly charge: string; readonly reason?: string | undefined }): Dispute
  closeDispute(input: { readonly dispute: string; readonly outcome: "won" | "lost" }): Dispute
  /** Adds a fault for the next calls that match. */
  addFault(rule: FaultRule): void
  clearFaults(): void
  /** Holds webhooks from now on, until they are released. */
  holdWebhooks(): void
  heldWebhooks(): ReadonlyArray<Parcel>
  /** Sends held webhooks: all, or the first `count` while the rest stays held; shuffled by `seed`. Returns how many. */
  releaseWebhooks(input?: { readonly count?: number | undefined; readonly seed?: number | undefined }): number
  /** Drops held webhooks: they are never delivered. Returns how many. */
  dropHeldWebhooks(): number
  /** Drops or duplicates the next events. */
  addWebhookRule(rule: WebhookRule): void
  /** Sends an event again, held or not, to one endpoint or all. Does not retry. */
  resend(input: { readonly event: string; readonly endpoint?: string | undefined }): Promise<ReadonlyArray<DeliveryEntry>>
  /** Sends an event (by default the newest) in a form that must be refused. Returns each endpoint's answer. */
  forge(input: {
    readonly kind: Forgery
    readonly event?: string | undefined
    readonly endpoint?: string | undefined
  }): Promise<ReadonlyArray<Receipt>>
  /** Creates a new secret; the old one signs, too, during the overlap. The endpoint defaults to the first. */
  rollSecret(input: {
    readonly endpoint?: string | undefined
    readonly secret?: string | undefined
    readonly overlapSeconds?: number | undefined
  }): string
  /** Calls of the API, oldest first. */
  requests(filter?: { readonly method?: string | undefined; readonly path?: string | undefined }): ReadonlyArray<RequestEntry>
  /** Attempts to deliver webhooks, oldest first. */
  deliveries(filter?: { readonly event?: string | undefined; readonly type?: string | undefined }): ReadonlyArray<DeliveryEntry>
  /** Waits until no webhook is being sent or retried; false on timeout. Held ones do not count. */
  idle(input?: { readonly timeoutMillis?: number | undefined }): Promise<boolean>
  snapshot(): Snapshot
  restore(snapshot: Snapshot): void
  reset(): void
}

/** What customers do at the checkout and with their subscriptions. */
const customerControls = (account: Account) =>
  ({
    setCard: ({ card, customer }) => {
      account.state.cards[account.get("customer", customer).id] = card
    },
    checkout: ({ action, email, session: id }) => {
      const session = account.get("checkout.session", id)
      actOnCheckout(account, session, action, email ?? null)
      return structuredClone(session)
    },
    settlePayment: ({ outcome, session: id }) => {
      const session = account.get("checkout.session", id)
      settleCheckout(account, session, outcome)
      return structuredClone(session)
    },
    enterCode: ({ code, session: id }) => {
      const session = account.get("checkout.session", id)
      enterCode(account, session, code)
      return structuredClone(session)
    },
    changePrice: ({ price, subscription: id }) => {
      const subscription = account.get("subscription", id)
      changePrice(account, subscription, account.get("price", price))
      return structuredClone(subscription)
    },
    setSubscriptionStatus: ({ status, subscription: id }) => {
      const subscription = account.get("subscription", id)
      if (status === "canceled") endSubscription(account, subscription, "cancellation_requested")
      else setStatus(account, subscription, status)
      return structuredClone(subscription)
    }
  }) satisfies Partial<StripeSimulatorControl>

/** What becomes of payments. */
const paymentControls = (account: Account) =>
  ({
    refund: ({ amount, charge }) =>
      structuredClone(makeRefundOf(account, findCharge(account, charge), { amount, reason: null, metadata: {} })),
    openDispute: ({ charge, reason = "fraudulent" }) =>
      structuredClone(openDispute(account, findCharge(account, charge), reason)),
    closeDispute: ({ dispute: id, outcome }) => {
      const dispute = account.get("dispute", id)
      closeDispute(account, dispute, outcome)
      return structuredClone(dispute)
    }
  }) satisfies Partial<StripeSimulatorControl>

/** What becomes of webhooks on their way. */
const webhookControls = ({ account, webhooks }: Pick<Simulation, "account" | "webhooks">) =>
  ({
    holdWebhooks: () => webhooks.hold(),
    heldWebhooks: () => [...webhooks.held()],
    releaseWebhooks: (input = {}) => webhooks.release(input),
    dropHeldWebhooks: () => webhooks.dropHeld(),
    addWebhookRule: (rule) => webhooks.addRule(rule),
    resend: async ({ endpoint, event: id }) => {
      const event = account.get("event", id)
      const sent = await Promise.all(endpointsOf(account, endpoint).map((each) => webhooks.resend(event, each.id)))
      return sent.filter((entry) => entry !== undefined)
    },
    forge: ({ endpoint, event, kind }) =>
      Promise.all(endpointsOf(account, endpoint).map((each) => sendForgery(account, each.id, kind, findEvent(account, event)))),
    rollSecret: ({ endpoint: id, overlapSeconds = 0, secret = makeSecret() }) => {
      const [endpoint] = endpointsOf(account, id)
      if (!endpoint) throw missingResource("webhook_endpoint", "")
      const old = account.state.secrets[endpoint.id]?.current ?? null
      account.state.secrets[endpoint.id] = { current: secret, old, oldEndsAt: realSeconds() + overlapSeconds }
      return secret
    },
    deliveries: (filter) => webhooks.deliveries(filter),
    idle: async ({ timeoutMillis = 10_000 } = {}) => {
      const end = Date.now() + timeoutMillis
      while (!webhooks.isIdle() && Date.now() < end) await sleep(5)
      return webhooks.isIdle()
    }
  }) satisfies Partial<StripeSimulatorControl>

export const makeControl = (simulation: Simulation): StripeSimulatorControl => {
  const { account, faults, requests } = simulation
  return {
    ...customerControls(account),
    ...paymentControls(account),
    ...webhookControls(simulation),
    now: () => account.now(),
    advance: ({ days = 0, seconds = 0 }) => {
      simulation.advance(days * daySeconds + seconds)
      return account.now()
    },
    addFault: (rule) => faults.add(rule),
    clearFaults: () => faults.clear(),
    requests: (filter) => requests.list(filter),
    snapshot: () => simulation.snapshot(),
    restore: (snapshot) => simulation.restore(snapshot),
    reset: () => simulation.reset()
  }
}

const endpointsOf = (account: Account, id: string | undefined) =>
  id === undefined ? account.all("webhook_endpoint") : [account.get("webhook_endpoint", id)]

const findEvent = (account: Account, id: string | undefined): Event => {
  const event = id === undefined ? account.all("event").at(-1) : account.get("event", id)
  if (!event) throw missingResource("event", "")
  return event
}

/** The charge of this id, or the last one of this payment intent, invoice or subscription. */
const findCharge = (account: Account, id: string): Charge => {
  const subscription = account.find("subscription", id)
  const invoice = account.find("invoice", subscription?.latest_invoice ?? id)
  const payment = account.all("invoice_payment").find((each) => each.invoice === invoice?.id)
  const intent = account.find("payment_intent", payment?.payment.payment_intent ?? id)
  return account.get("charge", intent?.latest_charge ?? id)
}

const sendForgery = async (account: Account, endpointId: string, kind: Forgery, event: Event): Promise<Receipt> => {
  const { current = "" } = account.state.secrets[endpointId] ?? {}
  const { body, signature } = forge(kind, event, [current])
  return post(account.get("webhook_endpoint", endpointId).url, body, signature, account.settings.webhookTimeoutMillis)
}
