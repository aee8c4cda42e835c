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
      ...invoice.total_discount_amounts.map(({ amount }) => ["Discount", `−${money(amount, currency)}`] as const),
      ...invoice.total_taxes.map(({ amount }) => ["Tax", money(amount, currency)] as const),
      ["Amount due", money(due, currency)],
      ["Status", status]
    ]) +
      errorNote(error) +
      (status === "open"
        ? actionForm("pay", "Pay", { main: true }) + actionForm("decline", "Pay with a card that is declined")
        : "")
  )
}

/** The smallest document that readers open: one page with one line. */
export const invoicePdf = ({ amount_due: due, currency, number }: Invoice): string => {
  const text = `BT /F 16 Tf 50 780 Td (Invoice ${number ?? "draft"}: ${money(due, currency)}) Tj ET`
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
    `<< /Length ${text.length} >>\nstream\n${text}\nendstream`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
  ]
  let body = "%PDF-1.4\n"
  const offsets = objects.map((object, index) => {
    const offset = body.length
    body += `${index + 1} 0 obj\n${object}\nendobj\n`
    return String(offset).padStart(10, "0")
  })
  const table = offsets.map((offset) => `${offset} 00000 n \n`).join("")
  const count = objects.length + 1
  return `${body}xref\n0 ${count}\n0000000000 65535 f \n${table}trailer\n<< /Size ${count} /Root 1 0 R >>\nstartxref\n${body.length}\n%%EOF\n`
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
