/**
 * Makes an event and signs it as Stripe does (https://docs.stripe.com/webhooks#verify-manually). The variable `event`
 * says which: `new`; `repeated`, the last one again; `changed` after it was signed; `old`, signed ten minutes ago.
 */
const { HmacSHA256 } = require("crypto-js")
const event = pm.variables.get("event")
const secret = pm.variables.get("webhookSecret")
const now = Math.floor(Date.now() / 1000)
const made = {
  id: `evt_${pm.variables.replaceIn("{{$guid}}").replaceAll("-", "")}`,
  object: "event",
  api_version: "2026-10-28.endive",
  created: now,
  livemode: false,
  type: "invoice.paid",
  data: { object: { id: "in_postman", object: "invoice", customer: "cus_unknown" } }
}
const body = event === "repeated" ? pm.variables.get("webhookBody") : JSON.stringify(made)
const signedAt = event === "old" ? now - 600 : now
const signature = HmacSHA256(`${signedAt}.${body}`, secret).toString()
pm.variables.set("webhookSignature", `t=${signedAt},v1=${signature}`)
pm.collectionVariables.set("webhookBody", event === "changed" ? body.replace("invoice.paid", "invoice.voided") : body)

const billing = pm.variables.get("billing")
const isAccepted = event === "new" || event === "repeated"
if (billing === "off" || (billing === "stripe" && secret === "whsec_development" && isAccepted)) {
  console.log("Skipped: billing is off, or webhookSecret is not set to a secret of the server.")
  pm.execution.skipRequest()
}
