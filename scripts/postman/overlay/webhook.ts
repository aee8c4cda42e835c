import { call, type Folder, script } from "../Overlay.ts"

/** Signs a text as Stripe does: https://docs.stripe.com/webhooks#verify-manually */
const sign = (secondsAgo: number) => script`
  const { HmacSHA256 } = require("crypto-js")
  const seconds = Math.floor(Date.now() / 1000)${secondsAgo === 0 ? "" : ` - ${secondsAgo}`}
  const signed = seconds + "." + pm.variables.get("webhookBody")
  const signature = HmacSHA256(signed, pm.variables.get("webhookSecret")).toString()
  pm.collectionVariables.set("webhookSignature", "t=" + seconds + ",v1=" + signature)
`

const newEvent = script`
  pm.collectionVariables.set("webhookBody", JSON.stringify({
    id: "evt_" + pm.variables.replaceIn("{{$guid}}").replace(/-/g, ""),
    object: "event",
    api_version: "2026-10-28.endive",
    created: Math.floor(Date.now() / 1000),
    livemode: false,
    type: "invoice.paid",
    data: { object: { id: "in_postman", object: "invoice", customer: "cus_nobody" } }
  }))
`

/** Of a deployed server's secret we know nothing, unless it was filled in. */
const onlyWithSecret = script`
  if (pm.variables.get("billing") === "stripe" && pm.variables.get("webhookSecret") === "whsec_development") {
    console.log("Left out: set the variable webhookSecret to one of the server's.")
    pm.execution.skipRequest()
  }
`

const signed = { headers: { "Stripe-Signature": "{{webhookSignature}}" }, body: "{{webhookBody}}" }
const accepted = {
  ...signed,
  expect: 200,
  tests: script`
    pm.test("It is received", () => pm.expect(pm.response.json()).to.eql({ received: true }))
  `
}
const refused = { ...signed, expect: 400, code: "signature_invalid" }

export const webhook: Folder = {
  name: "6. Webhook",
  about:
    "What Stripe sends, signed by a script in Stripe's own scheme: `t=…,v1=hmac_sha256(secret, t.body)`. The secret is the collection's variable `webhookSecret`; as it stands it is the one of `npm run dev`.",
  before: script`
    if (pm.variables.get("billing") === "off") pm.execution.skipRequest()
  `,
  items: [
    call("stripeWebhook", {
      ...accepted,
      name: "A signed event",
      about: "An event about a customer that nobody has: kept, and of no consequence.",
      before: [onlyWithSecret, newEvent, sign(0)].join("\n")
    }),
    call("stripeWebhook", {
      ...accepted,
      name: "The same event once more",
      about: "Stripe delivers at least once: a repeated event is received, and kept once.",
      before: [onlyWithSecret, sign(0)].join("\n")
    }),
    call("stripeWebhook", {
      ...refused,
      name: "An event that was changed",
      before: [
        newEvent,
        sign(0),
        script`
          pm.collectionVariables.set("webhookBody", pm.variables.get("webhookBody").replace("invoice.paid", "invoice.voided"))
        `
      ].join("\n")
    }),
    call("stripeWebhook", {
      ...refused,
      name: "An event of ten minutes ago",
      about: "A good signature, but too old: somebody may have recorded it.",
      before: [newEvent, sign(600)].join("\n")
    }),
    call("stripeWebhook", {
      ...refused,
      name: "An event without a signature",
      headers: {},
      before: newEvent
    })
  ]
}
