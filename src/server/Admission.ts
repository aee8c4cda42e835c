import { Context, Effect, Layer, Record, Schedule } from "effect"
import type { AdmissionClass } from "../api/Annotations.ts"
import { AppConfig } from "../config/Settings.ts"
import { observedCounter, observedGauge } from "../ops/Metrics.ts"
import type { RequestSlot, SlotKind } from "../ops/RequestSlot.ts"
import { AdaptiveLifo } from "./AdaptiveLifo.ts"
import { ClientShares, type Share } from "./ClientShares.ts"

/**
 * Concurrent requests of each kind in one process; `REQUEST_CONCURRENCY` limits those that work. Incoming bodies are as slow
 * as their senders, and waits (`?wait`, `Prefer: wait`) as slow as a model, so neither holds a working slot. Probes,
 * Stripe and what waits for other systems have slots of their own, so that they are served when other requests are refused.
 */
const fixedLimits = {
  operating: 32,
  webhook: 500,
  // Each holds a chunk of 256 KiB, twice while it is written: 64 MiB.
  uploading: 128,
  waiting: 5_000,
  // More than the gateway's and argon2's own bounds let wait.
  delivering: 64,
  hashing: 64,
  billing: 500,
  // Bounded by the limits below.
  receiving: Infinity,
  receiving_webhook: Infinity,
  writing: Infinity
}

/** Unfinished bodies of one process, and of one address. They are ended, oldest first, instead of being refused. */
const bodyLimits = { total: 1_000, perClient: 100 }
/** An address with so many unfinished bodies gets no working slot for the arrival of another one. */
const manyBodies = 10

/** Bytes of the responses that are being written, in one process and for one address. */
const writingLimits = { total: 64 * 1024 * 1024, perClient: 16 * 1024 * 1024 }
/** A connection is closed when its client has taken no piece of a response for this long. */
const stalledMillis = 30_000

export interface AdmittedSlot extends RequestSlot {
  /**
   * Exchanges the slot for the budget of responses that are being written. `end` is called when the client takes nothing, or
   * when the bytes have to make way for those of others.
   */
  readonly write: (bytes: number, end: Share["end"]) => void
  /** The client has taken a piece of the response. */
  readonly progress: () => void
  /** Gives the slot back once the response is written or its client has disconnected. */
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
      const responses = new ClientShares(writingLimits)
      yield* Effect.sync(() => responses.endIdle(stalledMillis)).pipe(
        Effect.repeat(Schedule.spaced("1 second")),
        Effect.forkScoped
      )
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
        const ownBodies = isWebhook ? bodies.webhook : bodies.working
        let current: SlotKind | undefined = own
        let shares = ownBodies
        let share: Share | undefined
        counts[own]++
        const exchange = (to: SlotKind | undefined) => {
          if (share !== undefined) shares.remove(share)
          share = undefined
          // Work that outlives its response has no slot.
          if (current === undefined) return true
          counts[current]--
          if (to !== undefined) counts[to]++
          if (current === "working") admitWaiting()
          current = to
          return true
        }
        const move = (to: SlotKind) => !isFull(to) && exchange(to)
        const hold = (kind: SlotKind, resource: ClientShares, size: number, end: Share["end"]) => {
          if (current === undefined) return
          exchange(kind)
          shares = resource
          share = { client: client.address(), size, end }
          shares.add(share)
        }
        const receive = (end: () => void) => hold(isWebhook ? "receiving_webhook" : "receiving", ownBodies, 1, end)
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
          hasManyBodies: () => ownBodies.countOf(client.address()) >= manyBodies,
          receive,
          resume,
          write: (bytes, end) => hold("writing", responses, bytes, end),
          progress: () => {
            if (share !== undefined) shares.renew(share)
          },
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
        write: () => {},
        progress: () => {},
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
