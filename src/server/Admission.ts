import { Context, Effect, Layer } from "effect"
import { AppConfig } from "../config/Settings.ts"
import type { SlotKind, RequestSlot } from "../ops/RequestSlot.ts"

/**
 * Requests of each kind in progress in one process; `REQUEST_CONCURRENCY` bounds those that work. Bodies on their way
 * in are as slow as their senders, and waits (`?wait`, `Prefer: wait`) as slow as a model: neither may hold a place that
 * others could work in. Probes, and Stripe, must get through when everything else is refused.
 */
const bounds = { operating: 32, webhook: 500, receiving: 1_000, waiting: 5_000 }

/** The routes with a bound of their own; the slash behind a path is optional everywhere. */
const operating = /^\/(readyz|metrics|admin\/queue)\/?(\?|$)/i
const webhook = /^\/webhook\/stripe\/?(\?|$)/i

/** What a request that arrives wants to do; nothing when it costs nothing: whether the process lives is always told. */
const slotKindOf = (url: string): SlotKind | undefined => {
  if (/^\/healthz\/?(\?|$)/i.test(url)) return undefined
  if (operating.test(url)) return "operating"
  return webhook.test(url) ? "webhook" : "working"
}

export interface Admitted extends RequestSlot {
  /** Gives the slot back: the request is answered, or its client has disconnected. */
  readonly release: () => void
}

/** Requests in progress, bounded: past its bound a process refuses at once instead of being slow for everybody. */
export class Admission extends Context.Service<
  Admission,
  {
    /** Whether a request would be one too many among those that work. */
    readonly mustWait: (url: string) => boolean
    /** How many may begin to work. */
    readonly free: () => number
    /** Calls the listener whenever a working place becomes free. */
    readonly onFree: (listener: () => void) => void
    /** A place for the request, or nothing when there is none. */
    readonly enter: (url: string, disconnected: Effect.Effect<void>) => Admitted | undefined
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
      const isFull = (kind: SlotKind | undefined) => kind !== undefined && counts[kind] >= bound[kind]
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
      const free = (disconnected: Effect.Effect<void>): Admitted => ({
        move: () => true,
        reacquire: () => {},
        tryReacquire: () => true,
        release: () => {},
        disconnected
      })

      return Admission.of({
        enter: (url, disconnected) => {
          const kind = slotKindOf(url)
          if (kind === undefined) return free(disconnected)
          return isFull(kind) ? undefined : slotFor(kind, disconnected)
        },
        mustWait: (url) => isFull("working") && slotKindOf(url) === "working",
        free: () => bound.working - counts.working,
        onFree: (listener) => void (tellFree = listener),
        inProgress: () => counts,
        countRefusal: () => void refusals++,
        refused: () => refusals
      })
    })
  )
}
