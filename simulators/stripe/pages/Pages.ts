import type { Account } from "../Account.ts"
import type { Form } from "../wire/Form.ts"
import { actOnCheckoutPage, showCheckout } from "./CheckoutPage.ts"
import { notFoundPage, type PageAnswer } from "./Html.ts"
import { actOnInvoice, invoicePdf, showInvoice } from "./InvoicePage.ts"
import { actOnPortal, showPortal } from "./PortalPage.ts"

export const isPage = (path: string) => /^\/(pay|portal|invoice)\//.test(path)

/** The pages that Stripe hosts: `/pay/cs_…`, `/portal/bps_…`, `/invoice/in_…` with `/invoice/in_…/pdf`. GET shows one, POST presses a button. */
export const answerPage = (account: Account, method: string, path: string, form: Form): PageAnswer => {
  const [, page, id, part] = path.split("/")
  const acts = method === "POST"
  if (page === "pay") {
    const session = account.find("checkout.session", id)
    if (session) return acts ? actOnCheckoutPage(account, session, form) : showCheckout(account, session)
  }
  if (page === "portal") {
    const session = account.find("billing_portal.session", id)
    if (session) return acts ? actOnPortal(account, session, form) : showPortal(account, session)
  }
  if (page === "invoice") {
    const invoice = account.find("invoice", id)
    if (invoice && part === "pdf" && !acts) return { pdf: invoicePdf(invoice) }
    if (invoice) return acts ? actOnInvoice(account, invoice, form) : showInvoice(invoice)
  }
  return notFoundPage()
}
