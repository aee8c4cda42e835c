import type { Price, Product } from "./objects/Catalog.ts"
import type { CheckoutSession, makeLineItem } from "./objects/CheckoutSession.ts"
import type { Customer } from "./objects/Customer.ts"
import type { Coupon, Discount, PromotionCode } from "./objects/Discount.ts"
import type { Event } from "./objects/Event.ts"
import type { Invoice, InvoicePayment } from "./objects/Invoice.ts"
import type { Charge, PaymentIntent } from "./objects/Payment.ts"
import type { PortalConfiguration } from "./objects/PortalConfiguration.ts"
import type { PortalSession } from "./objects/PortalSession.ts"
import type { Dispute, Refund } from "./objects/Reversal.ts"
import type { Subscription } from "./objects/Subscription.ts"
import type { TaxRegistration } from "./objects/Tax.ts"
import type { EndpointSecrets, WebhookEndpoint } from "./objects/WebhookEndpoint.ts"

/** Every object that has an id and an `object` member. */
export type StripeObject =
  | Customer
  | Product
  | Price
  | CheckoutSession
  | Subscription
  | Invoice
  | InvoicePayment
  | PaymentIntent
  | Charge
  | Refund
  | Dispute
  | PortalSession
  | PortalConfiguration
  | Coupon
  | PromotionCode
  | Discount
  | TaxRegistration
  | WebhookEndpoint
  | Event

/** The `object` member: `customer`, `checkout.session`, … */
export type Kind = StripeObject["object"]
export type OfKind<K extends Kind> = Extract<StripeObject, { readonly object: K }>

/** How a customer's card behaves: it pays, or is declined with this code (`declines`: a generic one); or there is none. */
export type Card = "good" | "declines" | "insufficient_funds" | "expired_card" | "none"

/** What is taken off the invoices of a subscription. */
export interface AppliedCoupon {
  readonly coupon: string
  readonly promotionCode: string | null
}

/** The days of a trial, and what becomes of the subscription when it ends without a card. */
export interface Trial {
  readonly days: number
  readonly withoutCard: "cancel" | "create_invoice"
}

/** What a checkout session sells, and the fields of its subscription. */
export interface Cart {
  readonly price: string
  readonly quantity: number
  readonly lineItem: ReturnType<typeof makeLineItem>
  readonly subscriptionMetadata: Record<string, string>
  readonly subscriptionDescription: string | null
  /** The buyer can change it on the page, where the session allows codes. */
  discount: AppliedCoupon | null
  readonly taxed: boolean
  readonly trial: Trial | null
}

/** The first answer to an idempotency key. */
export interface RememberedAnswer {
  /** The method, path and parameters that it answered. */
  readonly request: string
  /** Seconds since 1970 of the simulated clock. */
  readonly at: number
  readonly status: number
  readonly body: string
}

/** The state of the simulated account, as plain data: a snapshot is a copy of it. */
export interface State {
  /** How far the simulated clock is ahead of real time. */
  offsetMillis: number
  /** By kind and id, oldest first. */
  readonly objects: { [K in Kind]?: Record<string, OfKind<K>> }
  /** By customer; absent means `good`. */
  readonly cards: Record<string, Card>
  readonly deletedCustomers: Record<string, true>
  /** By checkout session. */
  readonly carts: Record<string, Cart>
  /** By webhook endpoint. */
  readonly secrets: Record<string, EndpointSecrets>
  /** By idempotency key. */
  readonly answers: Record<string, RememberedAnswer>
}

export const emptyState = (): State => ({
  offsetMillis: 0,
  objects: {},
  cards: {},
  deletedCustomers: {},
  carts: {},
  secrets: {},
  answers: {}
})
