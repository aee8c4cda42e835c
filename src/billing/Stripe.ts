import { Context, Effect, Layer, Redacted, Result, Schedule, Schema } from "effect"
import type { Stripe as Sdk } from "stripe"
import { AppConfig } from "../config/Settings.ts"
import type { Plan } from "../config/Plans.ts"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { BillingUnavailable } from "../api/billing/BillingErrors.ts"
import { StripeEvent } from "../api/billing/StripeEvent.ts"
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

/** The version that the SDK is made for, with the shapes that `StripeObjects.ts` expects. */
const apiVersion = "2026-10-28.endive"
/** Milliseconds after which the SDK aborts an HTTP request. */
const timeout = 10_000

/**
 * A call that failed. `missing`: the object does not exist. `refused`: the request is wrong, and repeating it would not
 * help. `unavailable`: the network, a rate limit, a 5xx, or an answer that does not decode.
 */
export class StripeFailure extends Schema.TaggedError<StripeFailure>()("StripeFailure", {
  kind: Schema.Literals(["missing", "refused", "unavailable"]),
  detail: Schema.String
}) {
  override get message() {
    return `Stripe ${this.kind}: ${this.detail}`
  }
}

/** What we read of an error of the SDK. By its shape, because the SDK's classes are loaded with the first call. */
const SdkError = Schema.Struct({
  type: Schema.String,
  code: Schema.optional(Schema.String),
  statusCode: Schema.optional(Schema.Number),
  requestId: Schema.optional(Schema.String)
})
const isSdkError = Schema.is(SdkError)

const fromUnknown = (cause: unknown): StripeFailure => {
  if (!isSdkError(cause)) return new StripeFailure({ kind: "unavailable", detail: String(cause) })
  // The message of an authentication error quotes the key.
  const detail = `${cause.type} ${cause.code ?? ""} ${cause.statusCode ?? ""} ${cause.requestId ?? ""}`.trim()
  if (cause.code === "resource_missing") return new StripeFailure({ kind: "missing", detail })
  const isRefused = cause.statusCode === 400 || cause.statusCode === 404
  return new StripeFailure({ kind: isRefused ? "refused" : "unavailable", detail })
}

/** Answers a request that needs Stripe with 503 and `Retry-After`, whatever the failure was. */
export const unavailable = (failure: StripeFailure) =>
  Effect.andThen(Effect.logWarning("A call to Stripe failed", failure), Effect.fail(BillingUnavailable.soon()))

export const undefinedIf = <A, R>(
  kind: StripeFailure["kind"],
  call: Effect.Effect<A, StripeFailure, R>
): Effect.Effect<A | undefined, StripeFailure, R> =>
  Effect.catchIf(
    call,
    (failure) => failure.kind === kind,
    () => Effect.undefined
  )

export const undefinedIfMissing = <A, R>(call: Effect.Effect<A, StripeFailure, R>) => undefinedIf("missing", call)

/** One call, its answer decoded: the SDK resolves a non-2xx body without `error` as if it were the object. */
const callWith =
  (load: () => Promise<Sdk>) =>
  <S extends Schema.Codec<unknown, unknown>>(
    schema: S,
    request: (sdk: Sdk) => Promise<unknown>
  ): Effect.Effect<S["Type"], StripeFailure> => {
    const decode = Schema.decodeUnknownEffect(schema)
    const decoded = Effect.tryPromise({ try: async () => request(await load()), catch: (cause) => cause }).pipe(
      // The SDK does not retry 429; two more tries cover a short burst.
      Effect.retry({
        times: 2,
        schedule: Schedule.exponential("500 millis"),
        while: (cause) => isSdkError(cause) && cause.type === "StripeRateLimitError"
      }),
      Effect.mapError(fromUnknown),
      Effect.flatMap((answer) =>
        Effect.mapError(
          decode(answer),
          (error) => new StripeFailure({ kind: "unavailable", detail: `unexpected answer: ${error.message}` })
        )
      ),
      Effect.timeoutOrElse({
        duration: 3 * timeout,
        orElse: () => Effect.fail(new StripeFailure({ kind: "unavailable", detail: "no answer in time" }))
      })
    )
    return withoutSlot(decoded, {
      kind: "billing",
      onFull: Effect.fail(new StripeFailure({ kind: "unavailable", detail: "too many requests wait for Stripe" }))
    })
  }

/** Loads the SDK, which takes ten megabytes of memory, with the first call. */
const makeSdk = async (options: { readonly secretKey: Redacted.Redacted; readonly apiBase: string | undefined }) => {
  const base = options.apiBase === undefined ? undefined : new URL(options.apiBase)
  const { Stripe: Sdk } = await import("stripe")
  return new Sdk(Redacted.value(options.secretKey), {
    apiVersion,
    timeout,
    maxNetworkRetries: 2,
    telemetry: false,
    ...(base === undefined
      ? {}
      : {
          host: base.hostname,
          port: base.port || (base.protocol === "http:" ? 80 : 443),
          protocol: base.protocol === "http:" ? "http" : "https"
        })
  })
}

/** The items of all pages of a list. */
const everyPage = Effect.fnUntraced(function* <A extends { readonly id: string }>(
  page: (after: {
    readonly starting_after?: string
  }) => Effect.Effect<{ readonly data: ReadonlyArray<A>; readonly has_more: boolean }, StripeFailure>
) {
  const found: Array<A> = []
  while (true) {
    const after = found.at(-1)?.id
    const { data, has_more } = yield* page(after === undefined ? {} : { starting_after: after })
    found.push(...data)
    if (!has_more || data.length === 0) return found
  }
})

interface CheckoutRequest {
  readonly customer: string
  readonly userId: string
  readonly attemptId: string
  readonly price: string
  /** The id of a promotion code. */
  readonly promotionCode: string | null
  /** Whether the page has a field for a promotion code, when the request has none. */
  readonly offersCodes: boolean
  readonly trialDays: number
  /** Unix seconds. */
  readonly expiresAt: number
  readonly returnUrl: string
  readonly cancelUrl: string
}

/** A trial that ends without a card ends the subscription: it would stay unpaid otherwise. */
const trialOf = (days: number) => ({
  trial_period_days: days,
  trial_settings: { end_behavior: { missing_payment_method: "cancel" as const } }
})

const taxParameters = {
  automatic_tax: { enabled: true },
  tax_id_collection: { enabled: true },
  customer_update: { address: "auto", name: "auto" }
} as const

const codesOf = ({ offersCodes, promotionCode }: CheckoutRequest) =>
  promotionCode !== null ? { discounts: [{ promotion_code: promotionCode }] } : offersCodes ? { allow_promotion_codes: true } : {}

const sessionParameters = (collectsTax: boolean, request: CheckoutRequest): Sdk.Checkout.SessionCreateParams => ({
  mode: "subscription",
  customer: request.customer,
  client_reference_id: request.userId,
  line_items: [{ price: request.price, quantity: 1 }],
  subscription_data: {
    metadata: { userId: request.userId },
    ...(request.trialDays === 0 ? {} : trialOf(request.trialDays))
  },
  success_url: request.returnUrl,
  cancel_url: request.cancelUrl,
  expires_at: request.expiresAt,
  ...codesOf(request),
  ...(collectsTax ? taxParameters : {}),
  ...(request.trialDays === 0 ? {} : { payment_method_collection: "if_required" })
})

/** What of a subscription is a plan of ours. */
export interface PlanItem {
  readonly plan: string
  readonly item: StripeSubscription["items"]["data"][number]
}

/** What the list of subscriptions has as objects and not as ids. */
const expandedOfSubscription = [
  "data.latest_invoice",
  "data.discounts",
  "data.discounts.source.coupon",
  "data.discounts.promotion_code"
]

/** The prices of a product that subscribers may change to. */
export interface OfferedProduct {
  readonly product: string
  readonly prices: Array<string>
}

/** The metadata that marks a configuration of the portal as the one for these prices. */
const configurationMark = "chat_backend_prices"

/** Subscribers may change to each price that is sold. A change is paid or credited at once, and ends a trial. */
const portalFeatures = (products: ReadonlyArray<OfferedProduct>): Sdk.BillingPortal.ConfigurationCreateParams["features"] => ({
  customer_update: { enabled: true, allowed_updates: ["address", "email", "name", "tax_id"] },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true },
  subscription_cancel: { enabled: true, mode: "at_period_end" },
  subscription_update: {
    enabled: true,
    default_allowed_updates: ["price", "promotion_code"],
    products: [...products],
    proration_behavior: "always_invoice",
    trial_update_behavior: "end_trial"
  }
})

/** Stripe's SDK behind a port: only the calls that we use, every answer decoded, every failure classified. */
const make = (load: () => Promise<Sdk>, plans: ReadonlyArray<Plan>, collectsTax: boolean) => {
  const call = callWith(load)
  const sold = plans.flatMap(({ prices }) => prices.map((price) => price.sold))
  const planOf = new Map(
    plans.flatMap(({ id, prices }) =>
      prices.flatMap(({ former, sold }) => [sold, ...former].map((price) => [price, id] as const))
    )
  )
  const price = (id: string) => call(Price, (sdk) => sdk.prices.retrieve(id))
  return {
    /** The item that makes a subscription one of our plans, of several the highest; undefined at prices that we do not know. */
    planItem: ({ items }: StripeSubscription): PlanItem | undefined => {
      for (const { id: plan } of plans.toReversed()) {
        const item = items.data.find(({ price }) => planOf.get(price.id) === plan)
        if (item !== undefined) return { plan, item }
      }
      return undefined
    },
    /** The prices that are sold, in the order of the plans. */
    soldPrices: Effect.forEach(sold, price, { concurrency: 4 }),
    /** `after` is the user's previous customer: with another idempotency key Stripe creates another customer. */
    createCustomer: (userId: string, mobile: string, after: string) =>
      call(Customer, (sdk) =>
        sdk.customers.create({ phone: mobile, metadata: { userId } }, { idempotencyKey: `customer:${userId}:${after}` })
      ),
    retrieveCustomer: (id: string) => call(Customer, (sdk) => sdk.customers.retrieve(id)),
    /** Every subscription of a customer, whatever its status. */
    subscriptions: (customer: string) =>
      everyPage((after) =>
        call(list(StripeSubscription), (sdk) =>
          sdk.subscriptions.list({ customer, status: "all", limit: 100, expand: expandedOfSubscription, ...after })
        )
      ),
    /** Every subscription at our prices that was not cancelled, with its customer and user. */
    subscribers: Effect.forEach([...planOf.keys()], (price) =>
      everyPage((after) => call(list(Subscriber), (sdk) => sdk.subscriptions.list({ price, limit: 100, ...after })))
    ).pipe(Effect.map((lists) => lists.flat())),
    createSession: (request: CheckoutRequest) =>
      call(Session, (sdk) =>
        sdk.checkout.sessions.create(sessionParameters(collectsTax, request), { idempotencyKey: `checkout:${request.attemptId}` })
      ),
    retrieveSession: (id: string) => call(Session, (sdk) => sdk.checkout.sessions.retrieve(id)),
    expireSession: (id: string) => call(Session, (sdk) => sdk.checkout.sessions.expire(id)),
    cancelAtPeriodEnd: (id: string) =>
      call(StripeSubscription, (sdk) => sdk.subscriptions.update(id, { cancel_at_period_end: true })),
    /** Undoes a pending cancellation in either form: `cancel_at_period_end` or `cancel_at`. */
    undoCancellation: (subscription: { readonly id: string; readonly hasCancelAt: boolean }) =>
      call(StripeSubscription, (sdk) =>
        sdk.subscriptions.update(subscription.id, subscription.hasCancelAt ? { cancel_at: "" } : { cancel_at_period_end: false })
      ),
    cancelNow: (id: string) =>
      call(StripeSubscription, (sdk) => sdk.subscriptions.cancel(id, {}, { idempotencyKey: `cancel:${id}` })),
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
    /** The codes with this text that can be used now, whatever its letters' case. */
    promotionCodes: (code: string) =>
      call(list(PromotionCode), (sdk) => sdk.promotionCodes.list({ code, active: true, limit: 10 })),
    /** A page of a customer's invoices, newest first. */
    invoices: (customer: string, page: { readonly limit: number; readonly after: string | undefined }) =>
      call(list(ShownInvoice), (sdk) =>
        sdk.invoices.list({ customer, limit: page.limit, ...(page.after === undefined ? {} : { starting_after: page.after }) })
      ),
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
      ),
    taxSettings: call(TaxSettings, (sdk) => sdk.tax.settings.retrieve()),
    taxRegistrations: call(list(TaxRegistration), (sdk) => sdk.tax.registrations.list({ status: "active", limit: 1 })),
    /** Events since a Unix time in seconds that were not delivered to our endpoint, newest first. */
    undelivered: (types: ReadonlyArray<string>, since: number) =>
      everyPage((after) =>
        call(list(StripeEvent), (sdk) =>
          sdk.events.list({ delivery_success: false, types: [...types], created: { gte: since }, limit: 100, ...after })
        )
      ),
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
      return Stripe.of(make(() => (sdk ??= makeSdk(settings)), plans, settings.collectsTax))
    })
  )
}
