import { call } from "../api/client.ts"
import { loadMe } from "./account.ts"
import { show } from "./announcements.ts"
import { attempt } from "./attempt.ts"
import { openDialog } from "./panels.ts"

/** What the address said when the page was opened: where at Stripe the user comes from. */
const arrival = new URLSearchParams(location.search)

const texts: Readonly<Record<string, string>> = {
  success: "Thank you. Your plan is up to date.",
  cancelled: "The checkout was left. Nothing was paid."
}

/** Goes on after a visit at Stripe: asks the server at once for the new plan, and shows it. */
export const returnFromStripe = async (): Promise<void> => {
  const billing = arrival.get("billing")
  if (billing === null) return
  const session = arrival.get("session_id") ?? ""
  history.replaceState(null, "", `${location.pathname}${location.hash}`)
  if (session !== "") await attempt(() => call("GET /billing/return", { query: { session_id: session } }))
  await attempt(loadMe)
  openDialog({ name: "account", tab: "plan" })
  const text = texts[billing]
  if (text !== undefined) show({ kind: "done", text })
}
