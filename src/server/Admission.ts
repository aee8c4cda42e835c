import { Context, Effect, Layer, Record } from "effect"
import type { AdmissionClass } from "../api/Annotations.ts"
import { AppConfig } from "../config/Settings.ts"
import { observedCounter, observedGauge } from "../ops/Metrics.ts"
import type { RequestSlot, SlotKind } from "../ops/RequestSlot.ts"
import { AdaptiveLifo } from "./AdaptiveLifo.ts"
import { ClientShares, type Share } from "./ClientShares.ts"

/**
 * Concurrent requests of each kind in one process; `REQUEST_CONCURRENCY` limits those that work. Incoming bodies are as slow
 * as their senders, and waits (`?wait`, `Prefer: wait`) as slow as a model, so neither holds a working slot. Probes and
 * Stripe have slots of their own, so that they are served when other requests are refused.
 */
const fixedLimits = { operating: 32, webhook: 500, receiving: Infinity, receiving_webhook: Infinity, waiting: 5_000 }

/** Unfinished bodies of one process, and of one address. They are ended, oldest first, instead of being refused. */
const bodyLimits = { total: 1_000, perClient: 100 }
/** An address with so many unfinished bodies gets no working slot for the arrival of another one. */
const manyBodies = 10

export interface AdmittedSlot extends RequestSlot {
  /** Gives the slot back once the request is answered or its client has disconnected. */
  readonly release: () => void
}

/** Who sent a request. */
export interface Client {
  /** The key of the client's address, as limits by address use it. */
  readonly address: () => string | null
  readonly disconnected: Effect.Effect<void>
}

/** Limits concurrent requests: a process above its limit refuses some requests instead of being slow for all of them. */
export class Admission extends Context.Service<
  Admission,
  {
    /** Whether all working slots are taken. */
    readonly isFull: () => boolean
    /** Calls `enter` when a working slot is free, or `refuse` after the longest wait. Returns a function that leaves. */
    readonly wait: (enter: () => void, refuse: () => void) => () => void
    /** A slot for a request, or undefined when none is free. */
    readonly enter: (wanted: AdmissionClass, client: Client) => AdmittedSlot | undefined
    /** Counts a request that was refused because no slot was free. */
    readonly countRefusal: () => void
  }
>()("chat-backend/server/Admission") {
  static readonly layer = Layer.effect(
    Admission,
    Effect.gen(function* () {
      const { requestConcurrency } = yield* AppConfig
      const limits: Record<SlotKind, number> = { working: requestConcurrency, ...fixedLimits }
      const counts = Record.map(limits, () => 0)
      const lifo = new AdaptiveLifo()
      const bodies = { working: new ClientShares(bodyLimits), webhook: new ClientShares(bodyLimits) }
      let refusals = 0
      for (const kind of Record.keys(counts)) {
        const help = "Requests in progress in this process."
        yield* observedGauge("chat_requests_in_progress", help, () => counts[kind], { activity: kind })
      }
      yield* observedCounter("chat_requests_refused_total", "Requests refused for being too many.", () => refusals)

      const isFull = (kind: SlotKind) => counts[kind] >= limits[kind]
      // Deferred: the request that frees its slot is in the middle of its own code.
      const admitWaiting = () => queueMicrotask(() => lifo.admit(limits.working - counts.working))

      const slotOf = (own: SlotKind, client: Client): AdmittedSlot => {
        const isWebhook = own === "webhook"
        const shares = isWebhook ? bodies.webhook : bodies.working
        let current: SlotKind | undefined = own
        let body: Share | undefined
        counts[own]++
        const exchange = (to: SlotKind | undefined) => {
          if (body !== undefined) shares.remove(body)
          body = undefined
          // Work that outlives its response has no slot.
          if (current === undefined) return true
          counts[current]--
          if (to !== undefined) counts[to]++
          if (current === "working") admitWaiting()
          current = to
          return true
        }
        const move = (to: SlotKind) => !isFull(to) && exchange(to)
        const receive = (end: () => void) => {
          if (current === undefined) return
          exchange(isWebhook ? "receiving_webhook" : "receiving")
          body = { client: client.address(), size: 1, end }
          shares.add(body)
        }
        const resume = Effect.callback<boolean>((done) => {
          if (current === own || move(own)) return done(Effect.succeed(true))
          let leave = () => {}
          const refuse = () => {
            leave()
            done(Effect.succeed(false))
          }
          if (own !== "working") return refuse()
          // The body keeps its place among the unfinished ones until it gets a slot.
          receive(refuse)
          leave = lifo.add(() => {
            exchange(own)
            done(Effect.succeed(true))
          }, refuse)
          return Effect.sync(leave)
        })
        return {
          move,
          reacquire: () => void exchange(own),
          hasManyBodies: () => shares.countOf(client.address()) >= manyBodies,
          receive,
          resume,
          release: () => void exchange(undefined),
          disconnected: client.disconnected
        }
      }
      const unlimitedSlot = ({ disconnected }: Client): AdmittedSlot => ({
        move: () => true,
        reacquire: () => {},
        hasManyBodies: () => false,
        receive: () => {},
        resume: Effect.succeed(true),
        release: () => {},
        disconnected
      })

      return Admission.of({
        enter: (wanted, client) => {
          if (wanted === "unlimited") return unlimitedSlot(client)
          return isFull(wanted) ? undefined : slotOf(wanted, client)
        },
        isFull: () => isFull("working"),
        wait: (enter, refuse) => lifo.add(enter, refuse),
        countRefusal: () => void refusals++
      })
    })
  )
}
