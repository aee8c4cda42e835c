import type { Account } from "../Account.ts"
import { collect } from "../billing/Collection.ts"
import type { Invoice } from "../objects/Invoice.ts"
import type { Form } from "../wire/Form.ts"
import { oneOf, readParameters, required } from "../wire/Parameters.ts"
import { actionForm, errorNote, facts, htmlPage, money, type PageAnswer } from "./Html.ts"

export const showInvoice = (invoice: Invoice, error?: string): PageAnswer => {
  const { amount_due: due, currency, number, status } = invoice
  return htmlPage(
    `Invoice ${number ?? ""}`,
    facts([
      ["Amount due", money(due, currency)],
      ["Status", status]
    ]) +
      errorNote(error) +
      (status === "open"
        ? actionForm("pay", "Pay", { main: true }) + actionForm("decline", "Pay with a card that is declined")
        : "")
  )
}

/** Redirects to the page itself: Stripe's hosted invoice has no return URL. */
export const actOnInvoice = (account: Account, invoice: Invoice, form: Form): PageAnswer => {
  const { action } = readParameters({ action: required(oneOf("pay", "decline")) }, form)
  if (invoice.status !== "open") return showInvoice(invoice)
  const outcome = collect(account, invoice, action === "pay" ? "good" : "declines")
  return outcome === "succeeded"
    ? { redirect: `${account.url}/invoice/${invoice.id}` }
    : showInvoice(invoice, "Your card was declined.")
}
