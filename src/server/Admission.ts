import { Context, Effect, Layer, Record } from "effect"
import type { AdmissionClass } from "../api/Annotations.ts"
import { AppConfig } from "../config/Settings.ts"
import { observedCounter, observedGauge } from "../ops/Metrics.ts"
import type { RequestSlot, SlotKind } from "../ops/RequestSlot.ts"

/**
 * Concurrent requests of each kind in one process; `REQUEST_CONCURRENCY` limits those that work. Incoming bodies are as slow
 * as their senders, and waits (`?wait`, `Prefer: wait`) as slow as a model, so neither holds a working slot. Probes and
 * Stripe have slots of their own, so that they are served when other requests are refused.
 */
const fixedLimits = { operating: 32, webhook: 500, receiving: 1_000, waiting: 5_000 }

export interface AdmittedSlot extends RequestSlot {
  /** Gives the slot back once the request is answered or its client has disconnected. */
  readonly release: () => void
}

/** Limits concurrent requests: a process above its limit refuses some requests instead of being slow for all of them. */
export class Admission extends Context.Service<
  Admission,
  {
    /** Free working slots; zero or less at or above the limit. */
    readonly free: () => number
    /** Calls the listener whenever a working slot becomes free. */
    readonly onFree: (listener: () => void) => void
    /** A slot for a request, or undefined when none is free. */
    readonly enter: (wanted: AdmissionClass, disconnected: Effect.Effect<void>) => AdmittedSlot | undefined
    /** Counts a request that was refused because no slot was free. */
    readonly countRefusal: () => void
  }
>()("chat-backend/server/Admission") {
  static readonly layer = Layer.effect(
    Admission,
    Effect.gen(function* () {
      const { requestConcurrency } = yield* AppConfig
      const limits: Record<SlotKind, number> = { working: requestConcurrency, ...fixedLimits }
      const counts: Record<SlotKind, number> = { working: 0, operating: 0, webhook: 0, receiving: 0, waiting: 0 }

      let notifyFree = () => {}
      let refusals = 0
      for (const kind of Record.keys(counts)) {
        const help = "Requests in progress in this process."
        yield* observedGauge("chat_requests_in_progress", help, () => counts[kind], { activity: kind })
      }
      yield* observedCounter("chat_requests_refused_total", "Requests refused for being too many.", () => refusals)

      const isFull = (kind: SlotKind) => counts[kind] >= limits[kind]
      const slotOf = (own: SlotKind, disconnected: Effect.Effect<void>): AdmittedSlot => {
        let current: SlotKind | undefined = own
        counts[own]++
        const exchange = (to: SlotKind | undefined) => {
          // Work that outlives its response has no slot.
          if (current === undefined) return true
          counts[current]--
          if (to !== undefined) counts[to]++
          if (current === "working") notifyFree()
          current = to
          return true
        }
        const move = (to: SlotKind) => !isFull(to) && exchange(to)
        return {
          move,
          reacquire: () => void exchange(own),
          tryReacquire: () => current === own || move(own),
          release: () => void exchange(undefined),
          disconnected
        }
      }
      const unlimitedSlot = (disconnected: Effect.Effect<void>): AdmittedSlot => ({
        move: () => true,
        reacquire: () => {},
        tryReacquire: () => true,
        release: () => {},
        disconnected
      })

      return Admission.of({
        enter: (wanted, disconnected) => {
          if (wanted === "unlimited") return unlimitedSlot(disconnected)
          return isFull(wanted) ? undefined : slotOf(wanted, disconnected)
        },
        free: () => limits.working - counts.working,
        onFree: (listener) => void (notifyFree = listener),
        countRefusal: () => void refusals++
      })
    })
  )
}
