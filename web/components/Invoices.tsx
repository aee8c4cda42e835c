import { loadInvoices } from "../state/account.ts"
import { day, price } from "../text/format.ts"
import { HttpButton } from "./HttpButton.tsx"
import { Loaded } from "./Loaded.tsx"
import { useLoaded } from "./useLoaded.ts"

/** What was paid, and what is to be paid. */
export const Invoices = () => {
  const loaded = useLoaded(loadInvoices)
  return (
    <Loaded from={loaded}>
      {(invoices) => (
        <>
          {invoices.length === 0 && <p class="empty">No invoices.</p>}
          <ul class="sessions">
            {invoices.map(({ createdAt, currency, id, number, pdfUrl, status, tax, total, url }) => (
              <li key={id}>
                <div>
                  <strong>{price(total, currency)}</strong>
                  <span class="hint">
                    {" "}
                    {day(createdAt)}, {status}
                    {tax > 0 && `, of it ${price(tax, currency)} tax`}
                  </span>
                </div>
                <span class="row">
                  {url !== null && (
                    <a href={url} target="_blank" rel="noopener">
                      {number ?? "Show"}
                    </a>
                  )}
                  {pdfUrl !== null && (
                    <a href={pdfUrl} target="_blank" rel="noopener" aria-label={`PDF of ${number ?? "the invoice"}`}>
                      PDF
                    </a>
                  )}
                </span>
              </li>
            ))}
          </ul>
          <div class="dialog-actions">
            <HttpButton label="invoices" operations={["GET /subscription/invoices"]} />
          </div>
        </>
      )}
    </Loaded>
  )
}
