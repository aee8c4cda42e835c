import { call, type Folder, pause, script, until, type Visit } from "../Overlay.ts"

/** Where no checkout can be paid by a script, what follows from a payment is left out. */
const onlyWithSimulator = script`
  if (pm.variables.get("billing") !== "simulator") {
    console.log("Left out: only the Stripe simulator of npm run dev can be paid by a script.")
    pm.execution.skipRequest()
  }
`

const pay: Visit = {
  name: "Pay at the checkout",
  about:
    "Presses *Pay* on the page behind `checkoutUrl`: that of the Stripe simulator, which `npm run dev` brings along. It leads back to the server, and the simulator sends its webhooks.\n\nAt the real Stripe, open the page in a browser instead (in test mode with the card 4242 4242 4242 4242), and go on with *Back from the checkout*.",
  method: "POST",
  url: "{{checkoutUrl}}",
  form: { action: "pay", email: "ada@example.com" },
  as: "nobody",
  expect: 303,
  tests: script`
    pm.test("It leads back with the checkout's id", () =>
      pm.expect(pm.response.headers.get("Location")).to.include("/billing/return?session_id=" + pm.variables.get("checkoutId")))
  `
}

const paid: Folder = {
  name: "Paid at the simulator",
  about:
    "Pays, waits for the webhooks to make the user Pro, cancels and takes it back. Left out unless the checkout is the Stripe simulator's.",
  before: onlyWithSimulator,
  items: [
    call("subscribe", {
      name: "Subscribe again, before paying",
      about: "The open checkout is handed out again.",
      expect: 200,
      tests: script`
        pm.test("It is the same checkout", () => pm.expect(pm.response.json().sessionId).to.equal(pm.variables.get("checkoutId")))
      `
    }),
    pay,
    call("getSubscriptionStatus", {
      name: "Wait until Pro",
      about: "Stripe's webhooks bring the news; the runner asks every second until they have.",
      expect: 200,
      before: pause,
      tests: [
        until("The subscription is active and the user on Pro", `body.tier === "pro" && body.status === "active"`),
        script`
          if (done) pm.test("Pro has more prompts a day", () =>
            pm.expect(body.limits.daily === null || body.limits.daily > Number(pm.variables.get("dailyLimit"))).to.equal(true))
        `
      ].join("\n")
    }),
    call("billingReturn", {
      name: "Back from the checkout",
      query: { session_id: "{{checkoutId}}" },
      expect: 200,
      tests: script`
        pm.test("The user is on Pro", () => pm.expect(pm.response.json().tier).to.equal("pro"))
      `
    }),
    call("sendMessage", {
      name: "The prompt that was too many, as Pro",
      path: { id: "{{roomId}}" },
      query: { wait: "20" },
      body: { content: "And at dawn?" },
      expect: 201,
      tests: script`
        pm.test("It is answered", () => pm.expect(pm.response.json().reply.status).to.equal("completed"))
      `
    }),
    call("subscribe", {
      name: "Nobody pays twice",
      expect: 409,
      code: "already_subscribed"
    }),
    call("openPortal", {
      name: "Open the customer portal",
      expect: 201,
      tests: script`
        pm.test("It is a page to go to", () => pm.expect(pm.response.json().url).to.match(/^https?:\/\//))
      `
    }),
    call("cancelSubscription", {
      name: "Cancel the subscription",
      about: "Pro stays until what was paid for is over.",
      expect: 200,
      tests: script`
        const status = pm.response.json()
        pm.test("It is still Pro, until the period ends", () => {
          pm.expect(status.tier).to.equal("pro")
          pm.expect(status.cancelAt).to.be.a("string")
          pm.expect(status.cancelAt).to.equal(status.currentPeriodEnd)
        })
      `
    }),
    call("subscribe", {
      name: "Subscribe while it is about to end",
      expect: 409,
      code: "pending_cancellation"
    }),
    call("reactivateSubscription", {
      name: "Take the cancellation back",
      expect: 200,
      tests: script`
        pm.test("It goes on", () => pm.expect(pm.response.json().cancelAt).to.equal(null))
      `
    })
  ]
}

export const subscription: Folder = {
  name: "5. Subscription",
  about:
    "Basic becomes Pro through Stripe's checkout. With the local Stripe simulator the whole way is walked; elsewhere it stops before the payment.",
  items: [
    call("getSubscriptionStatus", {
      name: "Still on Basic",
      expect: 200,
      tests: script`
        const status = pm.response.json()
        pm.test("There is no subscription", () => {
          pm.expect(status.tier).to.equal("basic")
          pm.expect(status.status).to.equal(null)
        })
      `
    }),
    call("subscribe", {
      name: "Subscribe to Pro",
      about: "Opens a checkout at Stripe. A server with `BILLING=off` answers 503, and the rest of the folder is left out.",
      expect: [201, 503],
      code: "billing_unavailable",
      tests: script`
        const { checkoutUrl, sessionId } = pm.response.json()
        const isSimulated = /^http:\/\/(127\.0\.0\.1|localhost)[:/]/.test(checkoutUrl)
        pm.collectionVariables.set("billing", pm.response.code === 503 ? "off" : isSimulated ? "simulator" : "stripe")
        pm.collectionVariables.set("checkoutUrl", checkoutUrl || "")
        pm.collectionVariables.set("checkoutId", sessionId || "")
      `
    }),
    paid
  ]
}
