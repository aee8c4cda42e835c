import type { Account } from "../Account.ts"
import { actOnCheckout } from "../billing/Checkout.ts"
import type { CheckoutSession } from "../objects/CheckoutSession.ts"
import { oneOf, readParameters, required, text } from "../wire/Parameters.ts"
import type { Form } from "../wire/Form.ts"
import { actionForm, errorNote, escapeHtml, facts, htmlPage, money, type PageAnswer } from "./Html.ts"

const declinedMessage = "Your card has been declined. Try another one."

export const showCheckout = (account: Account, session: CheckoutSession, error?: string): PageAnswer => {
  if (session.status === "complete")
    return htmlPage("You're all done here", "<p>Your payment has already been processed. You can close this tab.</p>")
  if (session.status === "expired")
    return htmlPage("You're all done here", "<p>This checkout session has timed out. Go back and start again.</p>")
  const product = account.state.carts[session.id]?.lineItem.description ?? "Subscription"
  const email = session.customer_details?.email
  const field = email ? "" : `<p><label>Email <input type="email" name="email" required></label></p>`
  return htmlPage(
    `Subscribe to ${product}`,
    facts([["Due today", money(session.amount_total, session.currency)], ...(email ? [["Email", email] as const] : [])]) +
      errorNote(error) +
      actionForm("pay", "Pay", { fields: field, main: true }) +
      actionForm("decline", "Pay with a card that is declined") +
      actionForm("later", "Pay later (the money arrives, or fails, some days after)", { fields: field }) +
      (session.cancel_url === null ? "" : actionForm("back", "Back")) +
      `<small>${escapeHtml(session.id)}</small>`
  )
}

export const actOnCheckoutPage = (account: Account, session: CheckoutSession, form: Form): PageAnswer => {
  const input = readParameters({ action: required(oneOf("pay", "decline", "later", "back")), email: text }, form)
  if (input.action === "back") return { redirect: session.cancel_url ?? `${account.url}/pay/${session.id}` }
  if (session.status !== "open") return showCheckout(account, session)
  actOnCheckout(account, session, input.action, input.email)
  if (input.action === "decline") return showCheckout(account, session, declinedMessage)
  return { redirect: session.success_url.replaceAll("{CHECKOUT_SESSION_ID}", session.id) }
}
