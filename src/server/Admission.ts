import { Context, Effect, Layer, Record } from "effect"
import type { AdmissionClass } from "../api/Annotations.ts"
import { AppConfig } from "../config/Settings.ts"
import { observedCounter, observedGauge } from "../ops/Metrics.ts"
import type { RequestSlot, SlotKind } from "../ops/RequestSlot.ts"

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
    /** Counts a request that was refused for want of a slot. */
    readonly countRefusal: () => void
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
      const inProgress = "Requests in progress in this process."
      for (const kind of Record.keys(counts)) {
        yield* observedGauge("chat_requests_in_progress", inProgress, () => counts[kind], { activity: kind })
      }
      yield* observedCounter("chat_requests_refused_total", "Requests refused for being too many.", () => refusals)

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
        countRefusal: () => void refusals++
      })
    })
  )
}
