import type { Account } from "../Account.ts"
import { type BillingReason, type Invoice, type InvoicePayment, makeInvoice, makeInvoicePayment } from "../objects/Invoice.ts"
import type { PaymentIntent } from "../objects/Payment.ts"
import { itemOf, type Subscription } from "../objects/Subscription.ts"
import { currentDiscount, useDiscount } from "./Discounts.ts"
import { openIntent } from "./Payments.ts"
import { priced } from "./Pricing.ts"

/** What an invoice is for instead of the whole of the current period. */
interface Part {
  /** Minor units; negative for a credit. */
  readonly amount: number
  readonly description: string
}

/** Creates a draft for the subscription's current period, or for a part of it. A trial costs nothing. */
export const draftInvoice = (account: Account, subscription: Subscription, reason: BillingReason, part?: Part): Invoice => {
  const item = itemOf(subscription)
  const isTrial = subscription.trial_end !== null && subscription.trial_end > account.now()
  const amount = part?.amount ?? (isTrial ? 0 : item.price.unit_amount * item.quantity)
  const found = part === undefined ? currentDiscount(account, subscription) : undefined
  const discount = amount > 0 ? found : undefined
  const coupon = account.find("coupon", discount?.source.coupon)
  const customer = account.get("customer", subscription.customer)
  const product = account.find("product", item.price.product)?.name ?? item.price.id
  const invoice = makeInvoice(account.birth(), {
    customer,
    subscription,
    item,
    reason,
    priced: priced(account, item.price, amount, { coupon, taxed: subscription.automatic_tax.enabled }),
    discount,
    isProration: part !== undefined,
    description: part?.description ?? (isTrial ? `Trial period for ${product}` : `${item.quantity} × ${product}`)
  })
  if (discount) useDiscount(account, subscription, discount)
  subscription.latest_invoice = invoice.id
  return account.add(invoice, "invoice.created")
}

/** Opens a draft: adds its number, its page, the customer's credit, and a payment intent if an amount is due. */
export const finalizeInvoice = (account: Account, invoice: Invoice) => {
  const customer = account.get("customer", invoice.customer)
  const balance = customer.balance + invoice.total
  account.change(invoice, "invoice.finalized", () => {
    invoice.status = "open"
    invoice.number = `${customer.invoice_prefix}-${String(customer.next_invoice_sequence).padStart(4, "0")}`
    invoice.hosted_invoice_url = `${account.url}/invoice/${invoice.id}`
    invoice.invoice_pdf = `${account.url}/invoice/${invoice.id}/pdf`
    invoice.effective_at = account.now()
    invoice.status_transitions.finalized_at = account.now()
    invoice.automatically_finalizes_at = null
    invoice.starting_balance = customer.balance
    invoice.ending_balance = Math.min(balance, 0)
    invoice.amount_due = Math.max(balance, 0)
    invoice.amount_remaining = invoice.amount_due
  })
  customer.next_invoice_sequence++
  if (customer.balance !== invoice.ending_balance)
    account.change(customer, "customer.updated", () => (customer.balance = invoice.ending_balance ?? 0))
  if (invoice.amount_due > 0) addInvoicePayment(account, invoice)
}

const addInvoicePayment = (account: Account, invoice: Invoice) => {
  const { amount_due: amount, currency, customer, customer_email: email } = invoice
  const description = invoice.billing_reason === "subscription_create" ? "Subscription creation" : "Subscription update"
  const intent = openIntent(account, { amount, currency, customer, description, email })
  account.add(makeInvoicePayment(account.birth(), invoice, intent.id))
}

export const paymentOf = (account: Account, invoice: Invoice): InvoicePayment | undefined =>
  account.all("invoice_payment").find((payment) => payment.invoice === invoice.id)

export const intentOf = (account: Account, invoice: Invoice): PaymentIntent | undefined =>
  account.find("payment_intent", paymentOf(account, invoice)?.payment.payment_intent)

export const markPaid = (account: Account, invoice: Invoice) => {
  account.change(invoice, "invoice.updated", () => {
    invoice.status = "paid"
    invoice.attempted = true
    invoice.attempt_count += invoice.amount_due > 0 ? 1 : 0
    invoice.amount_paid = invoice.amount_due
    invoice.amount_remaining = 0
    invoice.next_payment_attempt = null
    invoice.status_transitions.paid_at = account.now()
  })
  const payment = paymentOf(account, invoice)
  if (payment) {
    payment.status = "paid"
    payment.amount_paid = invoice.amount_due
    payment.status_transitions.paid_at = account.now()
    account.emit("invoice_payment.paid", payment)
  }
  account.emit("invoice.paid", invoice)
  account.emit("invoice.payment_succeeded", invoice)
}

/** Records a failed attempt, and the moment of the next one; null means no automatic retry. */
export const markFailed = (account: Account, invoice: Invoice, nextAttempt: number | null) => {
  account.change(invoice, "invoice.updated", () => {
    invoice.attempted = true
    invoice.attempt_count++
    invoice.next_payment_attempt = nextAttempt
  })
  account.emit("invoice.payment_failed", invoice)
}

export const voidInvoice = (account: Account, invoice: Invoice) => {
  const intent = intentOf(account, invoice)
  if (intent) {
    intent.status = "canceled"
    intent.canceled_at = account.now()
    intent.cancellation_reason = "void_invoice"
    account.emit("payment_intent.canceled", intent)
  }
  account.change(invoice, "invoice.voided", () => {
    invoice.status = "void"
    invoice.next_payment_attempt = null
    invoice.status_transitions.voided_at = account.now()
  })
}

/** The subscription's invoices in this status. */
export const invoicesOf = (account: Account, subscription: Subscription, status: Invoice["status"]) =>
  account
    .all("invoice")
    .filter((invoice) => invoice.parent.subscription_details.subscription === subscription.id && invoice.status === status)
