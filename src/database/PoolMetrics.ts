import { Effect, Exit, type Scope } from "effect"
import { counters, histograms, observedGauge, requestSeconds } from "../ops/Metrics.ts"

/** What a pool says of its connections. */
interface ObservedPool {
  readonly pool: string
  readonly maximum: number
  readonly open: () => number
  readonly used: () => number
  readonly waiting: () => number
}

export const observedPool = Effect.fnUntraced(function* ({ maximum, open, pool, used, waiting }: ObservedPool) {
  const help = "Connections to Postgres by pool: in use, or open and idle."
  yield* observedGauge("chat_database_connections", help, used, { pool, state: "used" })
  yield* observedGauge("chat_database_connections", help, () => Math.max(0, open() - used()), { pool, state: "idle" })
  yield* observedGauge("chat_database_connections_max", "Connections that a pool may have.", () => maximum, { pool })
  yield* observedGauge("chat_database_connections_waiting", "Statements that wait for a connection.", waiting, { pool })
})

/** A wait for a connection, and then its use. */
interface Lease {
  readonly acquired: () => void
  readonly ended: () => void
}

/** Measures a pool by what is acquired from it, and by the sockets that it opens. */
export const makePoolMetrics = Effect.fnUntraced(function* (pool: string, maximum: number) {
  const waits = yield* histograms(
    "chat_database_connection_wait_seconds",
    "Time that a statement or a transaction waits for a connection.",
    ["pool"],
    requestSeconds
  )
  const uses = yield* histograms(
    "chat_database_connection_use_seconds",
    "Time for which a statement or a transaction has a connection.",
    ["pool"],
    requestSeconds
  )
  const timeouts = yield* counters(
    "chat_database_connection_timeouts_total",
    "Requests that got no connection in time, and were refused as overloaded.",
    ["pool"]
  )
  const ofPool = { waits: waits(pool), uses: uses(pool), timeouts: timeouts(pool) }
  let open = 0
  let used = 0
  let waiting = 0
  // Statements that share a connection are more than the connections.
  yield* observedPool({ pool, maximum, open: () => open, used: () => Math.min(used, open), waiting: () => waiting })

  const begin = (): Lease => {
    let start = performance.now()
    let hasWaited = false
    waiting++
    const elapsed = () => {
      const now = performance.now()
      const seconds = (now - start) / 1_000
      start = now
      return seconds
    }
    const endWait = () => {
      if (hasWaited) return false
      hasWaited = true
      waiting--
      ofPool.waits.observe(elapsed())
      return true
    }
    return {
      acquired: () => void (endWait() && used++),
      ended: () => {
        if (endWait()) return
        used--
        ofPool.uses.observe(elapsed())
      }
    }
  }

  return {
    opened: () => void open++,
    closed: () => void open--,
    timedOut: () => ofPool.timeouts.add(1),
    begin,
    /** Measures the wait for a connection, which is in use as long as the scope. */
    acquire: <A, E, R>(connection: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
      Effect.suspend(() => {
        const lease = begin()
        return Effect.onExit(connection, (exit) => {
          if (Exit.isFailure(exit)) return Effect.sync(lease.ended)
          lease.acquired()
          return Effect.addFinalizer(() => Effect.sync(lease.ended))
        })
      })
  }
})
