import type { Account } from "../Account.ts"
import { actOnCheckout, enterCode } from "../billing/Checkout.ts"
import type { Cart } from "../State.ts"
import { StripeError } from "../wire/StripeError.ts"
import type { CheckoutSession } from "../objects/CheckoutSession.ts"
import { oneOf, readParameters, required, text } from "../wire/Parameters.ts"
import type { Form } from "../wire/Form.ts"
import { actionForm, actionsForm, errorNote, escapeHtml, facts, htmlPage, money, type PageAnswer } from "./Html.ts"

const declinedMessage = "Your card has been declined. Try another one."

/** In the field when the session has no e-mail, so that a visitor can just press Pay. */
const exampleEmail = "you@example.com"

/** The page of a session; after a refusal with its reason, and with what was typed. */
export const showCheckout = (
  account: Account,
  session: CheckoutSession,
  { error, typed = exampleEmail }: { readonly error?: string; readonly typed?: string | undefined } = {}
): PageAnswer => {
  if (session.status === "complete")
    return htmlPage("You're all done here", "<p>Your payment has already been processed. You can close this tab.</p>")
  if (session.status === "expired")
    return htmlPage("You're all done here", "<p>This checkout session has timed out. Go back and start again.</p>")
  const cart = account.state.carts[session.id]
  const product = cart?.lineItem.description ?? "Subscription"
  const email = session.customer_details?.email
  const field = email ? "" : `<p><label>Email <input type="email" name="email" value="${escapeHtml(typed)}" required></label></p>`
  return htmlPage(
    `Subscribe to ${product}`,
    facts([...sums(session, cart), ...(email ? [["Email", email] as const] : [])]) +
      errorNote(error) +
      codeForm(session) +
      actionsForm(field, [
        ["pay", cart?.trial ? "Start the trial" : "Pay"],
        ...(session.payment_method_collection === "if_required" && session.amount_total === 0
          ? [["start", "Start the trial without a card"] as const]
          : []),
        ["decline", "Pay with a card that is declined"],
        ["later", "Pay later (the money arrives, or fails, some days after)"]
      ]) +
      (session.cancel_url === null ? "" : actionForm("back", "Back")) +
      `<small>${escapeHtml(session.id)}</small>`
  )
}

/** What is due, and how it comes about. */
const sums = (session: CheckoutSession, cart: Cart | undefined): ReadonlyArray<readonly [string, string]> => {
  const { amount_discount: discount, amount_tax: tax } = session.total_details
  return [
    ...(cart?.trial ? [["Trial", `${cart.trial.days} days free`] as const] : []),
    ...(discount > 0 ? [["Discount", `−${money(discount, session.currency)}`] as const] : []),
    ...(session.automatic_tax.enabled ? [["Tax", money(tax, session.currency)] as const] : []),
    ["Due today", money(session.amount_total, session.currency)]
  ]
}

const codeForm = (session: CheckoutSession): string =>
  session.allow_promotion_codes === true
    ? actionForm("code", "Apply", { fields: '<p><label>Promotion code <input name="code"></label></p>' })
    : ""

export const actOnCheckoutPage = (account: Account, session: CheckoutSession, form: Form): PageAnswer => {
  const input = readParameters(
    { action: required(oneOf("pay", "decline", "later", "start", "code", "back")), email: text, code: text },
    form
  )
  if (input.action === "back") return { redirect: session.cancel_url ?? `${account.url}/pay/${session.id}` }
  if (session.status !== "open") return showCheckout(account, session)
  if (input.action === "code") return typeCode(account, session, input.code ?? "")
  actOnCheckout(account, session, input.action, input.email)
  if (input.action === "decline")
    return showCheckout(account, session, { error: declinedMessage, typed: input.email ?? undefined })
  return { redirect: session.success_url.replaceAll("{CHECKOUT_SESSION_ID}", session.id) }
}

const typeCode = (account: Account, session: CheckoutSession, code: string): PageAnswer => {
  try {
    enterCode(account, session, code)
    return showCheckout(account, session)
  } catch (error) {
    if (!(error instanceof StripeError)) throw error
    return showCheckout(account, session, { error: error.message })
  }
}
