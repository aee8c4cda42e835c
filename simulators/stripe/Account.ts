import type { Birth } from "./objects/Base.ts"
import { makeEvent } from "./objects/Event.ts"
import type { Event } from "./objects/Event.ts"
import { isSubscribed } from "./objects/WebhookEndpoint.ts"
import { previousAttributes } from "./PreviousAttributes.ts"
import type { Settings } from "./Settings.ts"
import { emptyState } from "./State.ts"
import type { Kind, OfKind, State, StripeObject } from "./State.ts"
import { missingResource } from "./wire/StripeError.ts"

/** The request at work, as its events name it. */
export interface Cause {
  readonly id: string | null
  readonly idempotency_key: string | null
}

const NOBODY: Cause = { id: null, idempotency_key: null }

/** One Stripe account: its objects, its clock, and the events that each change emits. Nothing in it waits. */
export class Account {
  state: State = emptyState()
  readonly settings: Settings
  /** Where the pages are; known once the server listens. */
  url = ""
  /** Hears every event as it happens; the webhook sender. */
  onEvent: (event: Event) => void = () => {}
  private cause = NOBODY
  private pinned: number | undefined

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** Seconds since 1970 by the simulated clock. */
  now(): number {
    return this.pinned ?? Math.floor((Date.now() + this.state.offsetMillis) / 1000)
  }

  /** Runs something that was due earlier as if it were then. */
  at(moment: number, run: () => void) {
    this.pinned = moment
    try {
      run()
    } finally {
      this.pinned = undefined
    }
  }

  /** Runs a request: the events within name it as their cause. */
  because<T>(cause: Cause, run: () => T): T {
    this.cause = cause
    try {
      return run()
    } finally {
      this.cause = NOBODY
    }
  }

  birth(): Birth {
    return { created: this.now(), livemode: this.settings.livemode, url: this.url }
  }

  add<T extends StripeObject>(object: T, eventType?: string): T {
    const objects = (this.state.objects[object.object] ??= {})
    objects[object.id] = object
    if (eventType !== undefined) this.emit(eventType, object)
    return object
  }

  remove(object: StripeObject) {
    delete this.state.objects[object.object]?.[object.id]
  }

  /** Changes an object; an update's event tells what its fields were before. */
  change<T extends StripeObject>(object: T, eventType: string, mutate: (object: T) => void) {
    const before = structuredClone(object)
    mutate(object)
    const tells = eventType.endsWith(".updated") || eventType === "charge.refunded"
    this.emit(eventType, object, tells ? previousAttributes(before, object) : undefined)
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
    return Object.values(this.state.objects[kind] ?? {}) as Array<OfKind<K>>
  }

  find<K extends Kind>(kind: K, id: string | null | undefined): OfKind<K> | undefined {
    const objects: Readonly<Record<string, StripeObject>> = this.state.objects[kind] ?? {}
    return typeof id === "string" && Object.hasOwn(objects, id) ? (objects[id] as OfKind<K>) : undefined
  }

  /** The object of this kind and id, else 404 (400 when a parameter names it). */
  get<K extends Kind>(kind: K, id: string, param?: string): OfKind<K> {
    const object = this.find(kind, id)
    if (object) return object
    throw missingResource(kind, id, param, param === undefined ? 404 : 400)
  }

  /** The object of this id, whatever it is. */
  findAny(id: string): StripeObject | undefined {
    for (const objects of Object.values(this.state.objects)) if (Object.hasOwn(objects, id)) return objects[id]
    return undefined
  }
}
