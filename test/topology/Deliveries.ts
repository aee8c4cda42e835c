import { setTimeout as sleep } from "node:timers/promises"
import { sign } from "../../simulators/stripe/webhooks/Signature.ts"
import { ask, type Experiment } from "../chaos/Experiment.ts"
import { isUnsure } from "../chaos/Ledger.ts"
import { newUser } from "../support/Users.ts"

export const webhookSecret = "whsec_of_the_topology"

/** Milliseconds after which a delivery without an acknowledgement is repeated; Stripe waits longer. */
const repeatMillis = 500
/** Milliseconds after the last delivery within which all must be processed. */
const processingMillis = 60_000

/** Stripe's deliveries about one customer: each is repeated until it is acknowledged. */
export class Deliveries {
  private readonly experiment: Experiment
  private readonly customer: string
  private readonly acknowledged: Array<string> = []

  private constructor(experiment: Experiment, customer: string) {
    this.experiment = experiment
    this.customer = customer
  }

  /** Begins a checkout, which makes a customer at Stripe. */
  static async begin(experiment: Experiment): Promise<Deliveries> {
    const { apis, database } = experiment
    const person = await newUser(apis[0].url, database)
    const { body, status } = await person.call("POST", "/subscribe/pro")
    if (status !== 201) throw new Error(`the checkout did not begin: ${status} ${JSON.stringify(body)}`)
    const [row] = await database.query<{ customer_id: string }>("select customer_id from billing_customers where user_id = $1", [
      person.userId
    ])
    return new Deliveries(experiment, row?.customer_id ?? "")
  }

  private async deliver(id: string): Promise<void> {
    const { acknowledged, customer, experiment } = this
    const event = {
      id,
      object: "event",
      api_version: "2026-10-28.endive",
      created: Math.floor(Date.now() / 1_000),
      livemode: false,
      pending_webhooks: 1,
      request: { id: null, idempotency_key: null },
      type: "invoice.paid",
      data: { object: { id: `in_${id}`, object: "invoice", customer } }
    }
    const bytes = new TextEncoder().encode(JSON.stringify(event))
    for (;;) {
      const headers = {
        "content-type": "application/json",
        "stripe-signature": sign(new TextDecoder().decode(bytes), [webhookSecret])
      }
      const answer = await ask(experiment, experiment.apis[0], { method: "POST", path: "/webhook/stripe", bytes, headers })
      if (answer.status === 200) return void acknowledged.push(id)
      if (!isUnsure(answer))
        return experiment.ledger.violate("expected-answer", `delivery of ${id}: ${answer.status} ${answer.text}`)
      await sleep(repeatMillis)
    }
  }

  async run(): Promise<void> {
    const { experiment } = this
    const inProgress = new Set<Promise<void>>()
    for (let number = 1; !experiment.isClosing; number++) {
      const delivery: Promise<void> = this.deliver(`evt_topology_${number}`).finally(() => inProgress.delete(delivery))
      inProgress.add(delivery)
      experiment.ledger.count("deliveries")
      await sleep(700)
    }
    await Promise.all(inProgress)
  }

  /** Every acknowledged event is stored once, and has been processed. */
  async check(): Promise<void> {
    const { acknowledged, experiment } = this
    const read = () => experiment.database.query<{ id: string; outcome: string }>("select id, outcome from webhook_events")
    const isDone = async () => (await read()).every(({ outcome }) => outcome !== "pending")
    for (const deadline = Date.now() + processingMillis; Date.now() < deadline && !(await isDone());) await sleep(250)
    const rows = await read()
    const outcomes = new Map(rows.map(({ id, outcome }) => [id, outcome]))
    for (const id of acknowledged) {
      const outcome = outcomes.get(id)
      if (outcome === undefined || outcome === "pending")
        experiment.ledger.violate("event-kept", `${id} is ${outcome ?? "not stored"}`)
    }
  }
}
