import { Context, Effect, Layer, Redacted, Result } from "effect"
import type { Stripe as Sdk } from "stripe"
import { StripeEvent } from "../api/billing/StripeEvent.ts"
import type { Plan } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { type CheckoutRequest, sessionParameters } from "./CheckoutParameters.ts"
import { countedPrices } from "./PlanItem.ts"
import { configurationMark, type OfferedProduct, portalFeatures } from "./PortalParameters.ts"
import { callWith, everyPage, loadSdk, type StripeCall } from "./StripeCall.ts"
import {
  Charge,
  Customer,
  Dispute,
  idOf,
  InvoiceOfPayment,
  InvoicePayment,
  list,
  Portal,
  PortalConfiguration,
  Price,
  PromotionCode,
  Refund,
  Session,
  ShownInvoice,
  StripeSubscription,
  Subscriber,
  TaxRegistration,
  TaxSettings
} from "./StripeObjects.ts"

/** What the list of subscriptions has as objects and not as ids. */
const expandedOfSubscription = [
  "data.latest_invoice",
  "data.discounts",
  "data.discounts.source.coupon",
  "data.discounts.promotion_code"
]

const customers = (call: StripeCall) => ({
  /** `after` is the user's previous customer: with another idempotency key Stripe creates another customer. */
  createCustomer: (userId: string, mobile: string, after: string) =>
    call(Customer, (sdk) =>
      sdk.customers.create({ phone: mobile, metadata: { userId } }, { idempotencyKey: `customer:${userId}:${after}` })
    ),
  retrieveCustomer: (id: string) => call(Customer, (sdk) => sdk.customers.retrieve(id))
})

const catalogue = (call: StripeCall, plans: ReadonlyArray<Plan>) => {
  const sold = plans.flatMap(({ prices }) => prices.map((price) => price.sold))
  return {
    /** The prices that are sold, in the order of the plans. */
    soldPrices: Effect.forEach(sold, (id) => call(Price, (sdk) => sdk.prices.retrieve(id)), { concurrency: 4 }),
    /** The codes with this text that can be used now, whatever its letters' case. */
    promotionCodes: (code: string) =>
      call(list(PromotionCode), (sdk) => sdk.promotionCodes.list({ code, active: true, limit: 10 }))
  }
}

const subscriptions = (call: StripeCall, plans: ReadonlyArray<Plan>) => ({
  /** Every subscription of a customer, whatever its status. */
  subscriptions: (customer: string) =>
    everyPage((after) =>
      call(list(StripeSubscription), (sdk) =>
        sdk.subscriptions.list({ customer, status: "all", limit: 100, expand: expandedOfSubscription, ...after })
      )
    ),
  /** Every subscription at our prices that was not cancelled, with its customer and user. */
  subscribers: Effect.forEach(countedPrices(plans), (price) =>
    everyPage((after) => call(list(Subscriber), (sdk) => sdk.subscriptions.list({ price, limit: 100, ...after })))
  ).pipe(Effect.map((lists) => lists.flat())),
  cancelAtPeriodEnd: (id: string) =>
    call(StripeSubscription, (sdk) => sdk.subscriptions.update(id, { cancel_at_period_end: true })),
  /** Undoes a pending cancellation in either form: `cancel_at_period_end` or `cancel_at`. */
  undoCancellation: (subscription: { readonly id: string; readonly hasCancelAt: boolean }) =>
    call(StripeSubscription, (sdk) =>
      sdk.subscriptions.update(subscription.id, subscription.hasCancelAt ? { cancel_at: "" } : { cancel_at_period_end: false })
    ),
  cancelNow: (id: string) =>
    call(StripeSubscription, (sdk) => sdk.subscriptions.cancel(id, {}, { idempotencyKey: `cancel:${id}` }))
})

const checkouts = (call: StripeCall, collectsTax: boolean) => ({
  createSession: (request: CheckoutRequest) =>
    call(Session, (sdk) =>
      sdk.checkout.sessions.create(sessionParameters(collectsTax, request), { idempotencyKey: `checkout:${request.attemptId}` })
    ),
  retrieveSession: (id: string) => call(Session, (sdk) => sdk.checkout.sessions.retrieve(id)),
  expireSession: (id: string) => call(Session, (sdk) => sdk.checkout.sessions.expire(id))
})

const payments = (call: StripeCall) => ({
  invoicePayments: (invoice: string) => call(list(InvoicePayment), (sdk) => sdk.invoicePayments.list({ invoice, limit: 10 })),
  /** The subscription that a payment was for, or null. */
  subscriptionPaidBy: (payment_intent: string) =>
    call(list(InvoiceOfPayment), (sdk) =>
      sdk.invoicePayments.list({ payment: { type: "payment_intent", payment_intent }, limit: 1, expand: ["data.invoice"] })
    ).pipe(Effect.map(({ data }) => idOf(data[0]?.invoice.parent?.subscription_details?.subscription ?? null))),
  refund: (payment: { readonly payment_intent: string } | { readonly charge: string }, key: string) =>
    call(Refund, (sdk) => sdk.refunds.create(payment, { idempotencyKey: key })),
  charge: (id: string) => call(Charge, (sdk) => sdk.charges.retrieve(id)),
  dispute: (id: string) => call(Dispute, (sdk) => sdk.disputes.retrieve(id)),
  /** A page of a customer's invoices, newest first. */
  invoices: (customer: string, page: { readonly limit: number; readonly after: string | undefined }) =>
    call(list(ShownInvoice), (sdk) =>
      sdk.invoices.list({ customer, limit: page.limit, ...(page.after === undefined ? {} : { starting_after: page.after }) })
    )
})

const portal = (call: StripeCall) => ({
  /** `configuration` undefined is the account's default. */
  portal: (customer: string, returnUrl: string, configuration: string | undefined) =>
    call(Portal, (sdk) =>
      sdk.billingPortal.sessions.create({
        customer,
        return_url: returnUrl,
        ...(configuration === undefined ? {} : { configuration })
      })
    ),
  /** The portal's configuration that an earlier call has created with the mark. */
  findPortalConfiguration: (mark: string) =>
    everyPage((after) =>
      call(list(PortalConfiguration), (sdk) => sdk.billingPortal.configurations.list({ active: true, limit: 100, ...after }))
    ).pipe(Effect.map((all) => all.find(({ metadata }) => metadata?.[configurationMark] === mark)?.id)),
  createPortalConfiguration: (mark: string, products: ReadonlyArray<OfferedProduct>) =>
    call(PortalConfiguration, (sdk) =>
      sdk.billingPortal.configurations.create({
        features: portalFeatures(products),
        metadata: { [configurationMark]: mark }
      })
    )
})

const account = (call: StripeCall) => ({
  taxSettings: call(TaxSettings, (sdk) => sdk.tax.settings.retrieve()),
  taxRegistrations: call(list(TaxRegistration), (sdk) => sdk.tax.registrations.list({ status: "active", limit: 1 })),
  /** Events since a Unix time in seconds that were not delivered to our endpoint, newest first. */
  undelivered: (types: ReadonlyArray<string>, since: number) =>
    everyPage((after) =>
      call(list(StripeEvent), (sdk) =>
        sdk.events.list({ delivery_success: false, types: [...types], created: { gte: since }, limit: 100, ...after })
      )
    )
})

/** Stripe's SDK behind a port: only the calls that we use, every answer decoded, every failure classified. */
const make = (load: () => Promise<Sdk>, plans: ReadonlyArray<Plan>, collectsTax: boolean) => {
  const call = callWith(load)
  return {
    ...customers(call),
    ...catalogue(call, plans),
    ...subscriptions(call, plans),
    ...checkouts(call, collectsTax),
    ...payments(call),
    ...portal(call),
    ...account(call),
    /** Whether the header signs exactly this text, by this secret and not longer ago than the tolerance. */
    verify: (text: string, header: string, secret: string, toleranceSeconds: number): Effect.Effect<boolean> =>
      Effect.promise(load).pipe(
        Effect.map((sdk) =>
          Result.getOrElse(
            Result.try(() => sdk.webhooks.signature?.verifyHeader(text, header, secret, toleranceSeconds) ?? false),
            () => false
          )
        )
      )
  }
}

export class Stripe extends Context.Service<Stripe, ReturnType<typeof make>>()("chat-backend/billing/Stripe") {
  static readonly layer = Layer.effect(
    Stripe,
    Effect.gen(function* () {
      const { billing, plans } = yield* AppConfig
      // With `BILLING=off` there is no key: a call that is made anyway fails, and its request answers 503.
      const off = { secretKey: Redacted.make("billing-is-off"), apiBase: undefined, collectsTax: false }
      const settings = billing ?? off
      let sdk: Promise<Sdk> | undefined
      return Stripe.of(make(() => (sdk ??= loadSdk(settings)), plans, settings.collectsTax))
    })
  )
}
