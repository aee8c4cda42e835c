import { Context, Effect } from "effect"

/** Kinds of waits: for the end of a reply, the gateway of codes, a password's hash, and Stripe. */
export type WaitKind = "waiting" | "delivering" | "hashing" | "billing"

/** What a request in progress is doing. Each kind is a bulkhead with its own bound, so that one cannot crowd out another. */
export type SlotKind =
  | "working"
  | "operating"
  | "webhook"
  | "uploading"
  | "receiving"
  | "receiving_webhook"
  | WaitKind
  | "writing"

/** A request's slot among those in progress. */
export interface RequestSlot {
  /** Exchanges the slot for one of another kind; false, and unchanged, when that kind is full. */
  readonly move: (to: WaitKind) => boolean
  /** Reacquires the original slot even over the limit: the work is done and must be answered. */
  readonly reacquire: () => void
  /** Whether the client's address has so many unfinished bodies that another one gets no working slot to arrive in. */
  readonly hasManyBodies: () => boolean
  /** Exchanges the slot for one of an unfinished body. `end` is called when the body has to make way for others. */
  readonly receive: (end: () => void) => void
  /** Reacquires the original slot after `receive`, and waits for one as new requests do; false when none came free in time. */
  readonly resume: Effect.Effect<boolean>
  /** Completes when the client has disconnected. */
  readonly disconnected: Effect.Effect<void>
}

/** The slot of the request being answered; undefined outside a request (a worker, or work that outlives the answer). */
export const CurrentSlot = Context.Reference<RequestSlot | undefined>("chat-backend/ops/RequestSlot", {
  defaultValue: () => undefined
})

/**
 * Runs an effect that waits for another system (a model, Stripe) without holding a working slot, so that waiting
 * requests do not lock out requests that could be served. Runs `onFull` instead when too many requests wait already.
 */
export const withoutSlot = <A, E, R, B, E2, R2>(
  wait: Effect.Effect<A, E, R>,
  options: { readonly kind?: WaitKind | undefined; readonly onFull: Effect.Effect<B, E2, R2> }
): Effect.Effect<A | B, E | E2, R | R2> =>
  Effect.withFiber<A | B, E | E2, R | R2>((fiber) => {
    const slot = Context.get(fiber.context, CurrentSlot)
    if (slot === undefined) return wait
    return slot.move(options.kind ?? "waiting") ? Effect.ensuring(wait, Effect.sync(slot.reacquire)) : options.onFull
  })

/**
 * Completes when the client of the current request has disconnected; never outside a request. A handler still finishes
 * what it began: only a wait for an answer that no client will read ends early.
 */
export const clientDisconnected: Effect.Effect<void> = Effect.flatMap(CurrentSlot, (slot) => slot?.disconnected ?? Effect.never)

/** Completes when the session of the current request has ended; never outside a request with a session. */
export const SessionEnded = Context.Reference<Effect.Effect<void>>("chat-backend/ops/SessionEnded", {
  defaultValue: () => Effect.never
})

/** Runs outside the request limit, for what must get through when requests have to wait (probes, webhooks). */
export const unslotted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, CurrentSlot, undefined)
