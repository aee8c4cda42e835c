import type { Account } from "../Account.ts"
import { changePrice } from "../billing/Changing.ts"
import { endSubscription, hasEnded, scheduleCancel } from "../billing/Ending.ts"
import { makeId } from "../objects/Base.ts"
import type { Price } from "../objects/Catalog.ts"
import type { PortalSession } from "../objects/PortalSession.ts"
import { itemOf, type Subscription } from "../objects/Subscription.ts"
import type { Card } from "../State.ts"
import type { Form } from "../wire/Form.ts"
import { oneOf, readParameters, required, word } from "../wire/Parameters.ts"
import { invalid } from "../wire/StripeError.ts"
import { actionForm, day, escapeHtml, facts, htmlPage, money, type PageAnswer } from "./Html.ts"

export const showPortal = (account: Account, session: PortalSession): PageAnswer => {
  const customer = account.find("customer", session.customer)
  const subscriptions = account.all("subscription").filter(({ customer }) => customer === session.customer)
  const invoices = account.all("invoice").filter(({ customer }) => customer === session.customer)
  const card = account.state.cards[session.customer] ?? "good"
  return htmlPage(
    "Billing",
    `<p>${escapeHtml(customer?.email ?? customer?.name ?? session.customer)}</p><h2>Subscriptions</h2>` +
      (subscriptions.map((subscription) => showSubscription(account, session, subscription)).join("") || "<p>None.</p>") +
      `<h2>Card</h2><p>${cardText(card)}</p>` +
      actionForm("new_card", "New card") +
      `<h2>Invoices</h2><ul>${invoices
        .map(
          ({ amount_due, currency, hosted_invoice_url: url, number, status }) =>
            `<li>${url === null ? "Draft" : `<a href="${escapeHtml(url)}">${escapeHtml(number ?? "")}</a>`}: ${money(amount_due, currency)}, ${status}</li>`
        )
        .join("")}</ul>` +
      (session.return_url === null ? "" : actionForm("back", "Return"))
  )
}

const cardText = (card: Card): string =>
  card === "good" ? "A card that pays" : card === "none" ? "None" : `A card that is declined (${escapeHtml(card)})`

/** The prices that the session's configuration lets a subscriber change to. */
const offeredPrices = (account: Account, { configuration }: PortalSession): ReadonlyArray<Price> => {
  const update = account.find("billing_portal.configuration", configuration)?.features.subscription_update
  if (update === undefined || !update.default_allowed_updates.includes("price")) return []
  return update.products.flatMap(({ prices }) => prices.flatMap((id) => account.find("price", id) ?? []))
}

const changeButtons = (account: Account, session: PortalSession, subscription: Subscription): string =>
  offeredPrices(account, session)
    .filter(({ id }) => id !== itemOf(subscription).price.id)
    .map((price) => {
      const name = account.find("product", price.product)?.name ?? price.id
      const label = `Change to ${name}, ${money(price.unit_amount, price.currency)} a ${price.recurring?.interval ?? "month"}`
      const fields = `<input type="hidden" name="subscription" value="${subscription.id}"><input type="hidden" name="price" value="${escapeHtml(price.id)}">`
      return actionForm("change", label, { fields })
    })
    .join("")

const showSubscription = (account: Account, session: PortalSession, subscription: Subscription) => {
  const { price, current_period_end: end } = itemOf(subscription)
  const field = { fields: `<input type="hidden" name="subscription" value="${subscription.id}">` }
  const buttons =
    subscription.cancel_at === null
      ? actionForm("cancel_at_period_end", "Cancel at the end of the period", field)
      : actionForm("renew", "Renew (do not cancel)", field)
  return (
    facts([
      [account.find("product", price.product)?.name ?? price.id, money(price.unit_amount, price.currency)],
      ["Status", subscription.status],
      [subscription.cancel_at === null ? "Renews" : "Ends", day(subscription.cancel_at ?? end)]
    ]) +
    (hasEnded(subscription)
      ? ""
      : buttons + actionForm("cancel_now", "Cancel now", field) + changeButtons(account, session, subscription))
  )
}

const actions = {
  action: required(oneOf("cancel_at_period_end", "cancel_now", "renew", "change", "new_card", "back")),
  subscription: word,
  price: word
}

/** Redirects to the portal after an action, and to the return URL after Back. */
export const actOnPortal = (account: Account, session: PortalSession, form: Form): PageAnswer => {
  const { action, price: priceId, subscription: id } = readParameters(actions, form)
  if (action === "back") return { redirect: session.return_url ?? session.url }
  if (action === "new_card") takeCard(account, session.customer)
  else if (action === "change") {
    const price = offeredPrices(account, session).find((each) => each.id === priceId)
    if (!price) throw invalid("There is no such price.", "price")
    changePrice(account, findSubscription(account, session.customer, id), price)
  } else changeSubscription(account, findSubscription(account, session.customer, id), action)
  return { redirect: session.url }
}

const takeCard = (account: Account, id: string) => {
  account.state.cards[id] = "good"
  const customer = account.get("customer", id)
  account.change(customer, "customer.updated", () => {
    customer.invoice_settings.default_payment_method = makeId("pm")
  })
}

/** The subscription with this id, else the customer's newest; only one that has not ended. */
const findSubscription = (account: Account, customer: string, id: string | undefined): Subscription => {
  const own = account.all("subscription").filter((each) => each.customer === customer && !hasEnded(each))
  const found = id === undefined ? own.at(-1) : own.find((each) => each.id === id)
  if (!found) throw invalid("There is no such subscription.", "subscription")
  return found
}

const changeSubscription = (
  account: Account,
  subscription: Subscription,
  action: "cancel_at_period_end" | "cancel_now" | "renew"
) => {
  if (action === "cancel_now") return endSubscription(account, subscription, "cancellation_requested")
  const alone = account.settings.portalCancelsWith === "cancel_at"
  account.change(subscription, "customer.subscription.updated", () => {
    if (action === "renew") scheduleCancel(account, subscription, { cancel_at: null })
    else if (alone) scheduleCancel(account, subscription, { cancel_at: itemOf(subscription).current_period_end })
    else scheduleCancel(account, subscription, { cancel_at_period_end: true })
  })
}
