import type { Account } from "../Account.ts"
import { makeId } from "../objects/Base.ts"
import type { Event } from "../objects/Event.ts"
import { activeSecrets, isSubscribed } from "../objects/WebhookEndpoint.ts"
import { Lane } from "./Lane.ts"
import { isAccepted, post, type Receipt } from "./Sender.ts"
import { shuffle } from "./Shuffle.ts"
import { sign } from "./Signature.ts"

/** One event for one endpoint. */
export interface Parcel {
  readonly event: string
  readonly type: string
  readonly endpoint: string
  /** Starts at 1. */
  readonly attempt: number
}

/** One attempt to deliver, or the record of a dropped event. */
export interface DeliveryEntry extends Parcel, Receipt {
  readonly id: string
  /** When it was sent, in milliseconds since 1970 of real time. */
  readonly at: number
  readonly outcome: "delivered" | "failed" | "dropped"
  readonly signature: string | null
  readonly body: string
}

/** What happens to the next events of a type. */
export interface WebhookRule {
  readonly action: "drop" | "duplicate"
  /** The type of the event; any when absent. */
  readonly type?: string | undefined
  /** How many events it applies to; 1 when absent. */
  readonly times?: number | undefined
}

const noReceipt: Receipt = { status: null, error: null, response: "" }
const logLimit = 20_000

/** Sends every event to the subscribed endpoints: signed, first attempts in order, with retries. */
export class Webhooks {
  private readonly account: Account
  private readonly lanes = new Map<string, Lane>()
  private readonly timers = new Set<NodeJS.Timeout>()
  private entries: Array<DeliveryEntry> = []
  private heldParcels: Array<Parcel> | null = null
  private rules: Array<{ readonly rule: WebhookRule; left: number }> = []
  /** Counts calls of `clear`: a delivery that started before one is not logged after it. */
  private era = 0

  constructor(account: Account) {
    this.account = account
  }

  /** Sends a new event to every subscribed endpoint. */
  publish(event: Event) {
    const endpoints = this.account.all("webhook_endpoint").filter((endpoint) => isSubscribed(endpoint, event.type))
    if (endpoints.length === 0) return
    const action = this.takeRule(event.type)
    for (const { id: endpoint } of endpoints) {
      const parcel = { event: event.id, type: event.type, endpoint, attempt: 1 }
      if (action === "drop") this.log(parcel, "dropped", null, "", noReceipt)
      else this.enqueue(parcel)
      if (action === "duplicate") this.enqueue(parcel)
    }
  }

  addRule(rule: WebhookRule) {
    this.rules.push({ rule, left: rule.times ?? 1 })
  }

  private takeRule(type: string): WebhookRule["action"] | undefined {
    const hit = this.rules.find(({ left, rule }) => left > 0 && (rule.type ?? type) === type)
    if (hit) hit.left--
    return hit?.rule.action
  }

  hold() {
    this.heldParcels ??= []
  }

  held(): ReadonlyArray<Parcel> {
    return this.heldParcels ?? []
  }

  /** Sends held parcels, shuffled if there is a seed; with a count the rest stays held. */
  release({ count, seed }: { readonly count?: number | undefined; readonly seed?: number | undefined }): number {
    const held = seed === undefined ? this.held() : shuffle(this.held(), seed)
    const released = held.slice(0, count)
    this.heldParcels = count === undefined ? null : held.slice(count)
    for (const parcel of released) this.dispatch(parcel)
    return released.length
  }

  /** Drops held parcels: they are never delivered. */
  dropHeld(): number {
    const dropped = this.held()
    if (this.heldParcels) this.heldParcels = []
    for (const parcel of dropped) this.log(parcel, "dropped", null, "", noReceipt)
    return dropped.length
  }

  /** Sends an event again at once, even while others are held; does not retry. */
  resend(event: Event, endpoint: string): Promise<DeliveryEntry | undefined> {
    return this.deliver({ event: event.id, type: event.type, endpoint, attempt: 1 })
  }

  deliveries({ event, type }: { readonly event?: string | undefined; readonly type?: string | undefined } = {}) {
    return this.entries.filter((entry) => (event ?? entry.event) === entry.event && (type ?? entry.type) === entry.type)
  }

  /** Whether nothing is being sent or waits for a retry; held parcels do not count. */
  isIdle(): boolean {
    return this.timers.size === 0 && [...this.lanes.values()].every((lane) => lane.isIdle())
  }

  /** Drops everything that was still to be sent, and the log. */
  clear() {
    this.era++
    for (const timer of this.timers) clearTimeout(timer)
    this.timers.clear()
    for (const lane of this.lanes.values()) lane.clear()
    this.lanes.clear()
    this.entries = []
    this.heldParcels = null
    this.rules = []
  }

  private enqueue(parcel: Parcel) {
    if (this.heldParcels) this.heldParcels.push(parcel)
    else this.dispatch(parcel)
  }

  private dispatch(parcel: Parcel) {
    const lane = this.lanes.get(parcel.endpoint) ?? new Lane(this.account.settings.webhookConcurrency)
    this.lanes.set(parcel.endpoint, lane)
    lane.push(async () => {
      const entry = await this.deliver(parcel)
      if (entry?.outcome === "failed" && this.lanes.get(parcel.endpoint) === lane) this.retry(parcel)
    })
  }

  private retry(parcel: Parcel) {
    const wait = this.account.settings.webhookRetryMillis[parcel.attempt - 1]
    if (wait === undefined) return
    const timer = setTimeout(() => {
      this.timers.delete(timer)
      this.enqueue({ ...parcel, attempt: parcel.attempt + 1 })
    }, wait)
    this.timers.add(timer)
  }

  private async deliver(parcel: Parcel): Promise<DeliveryEntry | undefined> {
    const event = this.account.find("event", parcel.event)
    const endpoint = this.account.find("webhook_endpoint", parcel.endpoint)
    const secrets = this.account.state.secrets[parcel.endpoint]
    if (!event || !endpoint || !secrets || endpoint.status === "disabled") return undefined
    const { era } = this
    const body = JSON.stringify(event, null, 2)
    const signature = sign(body, activeSecrets(secrets))
    const receipt = await post(endpoint.url, body, signature, this.account.settings.webhookTimeoutMillis)
    if (era !== this.era) return undefined
    const outcome = isAccepted(receipt) ? "delivered" : "failed"
    const isFirst = !this.deliveries({ event: event.id }).some(
      (entry) => entry.endpoint === endpoint.id && entry.outcome === "delivered"
    )
    if (outcome === "delivered" && isFirst && event.pending_webhooks > 0) event.pending_webhooks--
    return this.log(parcel, outcome, signature, body, receipt)
  }

  private log(
    parcel: Parcel,
    outcome: DeliveryEntry["outcome"],
    signature: string | null,
    body: string,
    receipt: Receipt
  ): DeliveryEntry {
    const entry = { id: makeId("del"), at: Date.now(), ...parcel, outcome, signature, body, ...receipt }
    this.entries.push(entry)
    if (this.entries.length > logLimit) this.entries.shift()
    return entry
  }
}
