import { Context, Effect, Layer } from "effect"
import type { AdmissionClass } from "../api/Annotations.ts"
import { AppConfig } from "../config/Settings.ts"
import type { SlotKind, RequestSlot } from "../ops/RequestSlot.ts"

/**
 * Requests of each kind in progress in one process; `REQUEST_CONCURRENCY` bounds those that work. Bodies on their way
 * in are as slow as their senders, and waits (`?wait`, `Prefer: wait`) as slow as a model: neither may hold a place that
 * others could work in. Probes, and Stripe, must get through when everything else is refused.
 */
const bounds = { operating: 32, webhook: 500, receiving: 1_000, waiting: 5_000 }

export interface Admitted extends RequestSlot {
  /** Gives the slot back: the request is answered, or its client has disconnected. */
  readonly release: () => void
}

/** Requests in progress, bounded: past its bound a process refuses at once instead of being slow for everybody. */
export class Admission extends Context.Service<
  Admission,
  {
    /** How many requests may begin to work; below one when those that work fill or exceed the limit. */
    readonly free: () => number
    /** Calls the listener whenever a working place becomes free. */
    readonly onFree: (listener: () => void) => void
    /** A place for the request, or nothing when there is none. */
    readonly enter: (wanted: AdmissionClass, disconnected: Effect.Effect<void>) => Admitted | undefined
    /** Requests in progress, by what they do. */
    readonly inProgress: () => Readonly<Record<SlotKind, number>>
    /** Counts one that was refused for want of a place; `refused` tells how many. */
    readonly countRefusal: () => void
    readonly refused: () => number
  }
>()("chat-backend/server/Admission") {
  static readonly layer = Layer.effect(
    Admission,
    Effect.gen(function* () {
      const { requestConcurrency } = yield* AppConfig
      const bound: Record<SlotKind, number> = { working: requestConcurrency, ...bounds }
      const counts: Record<SlotKind, number> = { working: 0, operating: 0, webhook: 0, receiving: 0, waiting: 0 }

      let tellFree = () => {}
      let refusals = 0
      const isFull = (kind: SlotKind) => counts[kind] >= bound[kind]
      const slotFor = (own: SlotKind, disconnected: Effect.Effect<void>): Admitted => {
        let current: SlotKind | undefined = own
        counts[own]++
        const go = (to: SlotKind | undefined) => {
          // What goes on after the answer has no place any more.
          if (current === undefined) return true
          counts[current]--
          if (to !== undefined) counts[to]++
          if (current === "working") tellFree()
          current = to
          return true
        }
        const move = (to: SlotKind) => !isFull(to) && go(to)
        return {
          move,
          reacquire: () => void go(own),
          tryReacquire: () => current === own || move(own),
          release: () => void go(undefined),
          disconnected
        }
      }
      const unlimited = (disconnected: Effect.Effect<void>): Admitted => ({
        move: () => true,
        reacquire: () => {},
        tryReacquire: () => true,
        release: () => {},
        disconnected
      })

      return Admission.of({
        enter: (wanted, disconnected) => {
          if (wanted === "unlimited") return unlimited(disconnected)
          return isFull(wanted) ? undefined : slotFor(wanted, disconnected)
        },
        free: () => bound.working - counts.working,
        onFree: (listener) => void (tellFree = listener),
        inProgress: () => counts,
        countRefusal: () => void refusals++,
        refused: () => refusals
      })
    })
  )
}
