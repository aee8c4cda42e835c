import type { Birth } from "./objects/Base.ts"
import { type Event, makeEvent } from "./objects/Event.ts"
import { isSubscribed } from "./objects/WebhookEndpoint.ts"
import { previousAttributes } from "./PreviousAttributes.ts"
import type { Settings } from "./Settings.ts"
import { emptyState, type Kind, type OfKind, type State, type StripeObject } from "./State.ts"
import { missingResource } from "./wire/StripeError.ts"

/** The current request, as its events name it. */
export interface Cause {
  readonly id: string | null
  readonly idempotency_key: string | null
}

const noCause: Cause = { id: null, idempotency_key: null }

/** One Stripe account: its objects, its clock, and the events that each change emits. Every method is synchronous. */
export class Account {
  state: State = emptyState()
  readonly settings: Settings
  /** The base URL of the pages; set once the server listens. */
  url = ""
  /** Receives every event as it happens: the webhook sender. */
  onEvent: (event: Event) => void = () => {}
  private cause = noCause
  private pinned: number | undefined

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** Seconds since 1970 by the simulated clock. */
  now(): number {
    return this.pinned ?? Math.floor((Date.now() + this.state.offsetMillis) / 1000)
  }

  /** Runs something that was due earlier, with the clock at that moment. */
  at(moment: number, run: () => void) {
    this.pinned = moment
    try {
      run()
    } finally {
      this.pinned = undefined
    }
  }

  /** Runs a request: the events that it emits name it as their cause. */
  because<T>(cause: Cause, run: () => T): T {
    this.cause = cause
    try {
      return run()
    } finally {
      this.cause = noCause
    }
  }

  birth(): Birth {
    return { created: this.now(), livemode: this.settings.livemode, url: this.url }
  }

  add<T extends StripeObject>(object: T, eventType?: string): T {
    const objects: Record<string, StripeObject> = (this.state.objects[object.object] ??= {})
    objects[object.id] = object
    if (eventType !== undefined) this.emit(eventType, object)
    return object
  }

  remove(object: StripeObject) {
    delete this.state.objects[object.object]?.[object.id]
  }

  /** Changes an object; the event of an update has the previous attributes. */
  change<T extends StripeObject>(object: T, eventType: string, mutate: (object: T) => void) {
    const before = structuredClone(object)
    mutate(object)
    const hasPrevious = eventType.endsWith(".updated") || eventType === "charge.refunded"
    this.emit(eventType, object, hasPrevious ? previousAttributes(before, object) : undefined)
  }

  emit(type: string, object: object, previous?: object) {
    const pendingWebhooks = this.all("webhook_endpoint").filter((endpoint) => isSubscribed(endpoint, type)).length
    const event = this.add(
      makeEvent(this.birth(), { type, object: structuredClone(object), previous, request: this.cause, pendingWebhooks })
    )
    this.onEvent(event)
  }

  /** Oldest first. */
  all<K extends Kind>(kind: K): Array<OfKind<K>> {
    return Object.values(this.state.objects[kind] ?? {})
  }

  find<K extends Kind>(kind: K, id: string | null | undefined): OfKind<K> | undefined {
    const objects = this.state.objects[kind]
    return objects !== undefined && typeof id === "string" && Object.hasOwn(objects, id) ? objects[id] : undefined
  }

  /** The object of this kind and id; throws 404, or 400 when a parameter names it. */
  get<K extends Kind>(kind: K, id: string, param?: string): OfKind<K> {
    const object = this.find(kind, id)
    if (object) return object
    throw missingResource(kind, id, param, param === undefined ? 404 : 400)
  }

  /** The object of this id, of any kind. */
  findAny(id: string): StripeObject | undefined {
    for (const objects of Object.values(this.state.objects)) if (Object.hasOwn(objects, id)) return objects[id]
    return undefined
  }
}
