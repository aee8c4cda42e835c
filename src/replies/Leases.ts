import { Context, Deferred, Effect, Layer, Schedule } from "effect"
import type { Scope } from "effect"
import { SqlClient } from "effect/sql"
import { Notifications } from "../database/Notifications.ts"
import { retryConflicts } from "../database/Transactions.ts"

/** Seconds until a lease expires that is not renewed, and how often a process renews its own. */
export const leaseSeconds = 30
const renewEvery = "8 seconds"

export interface Lease {
  readonly userId: string
  readonly replyId: string
  /** The fencing token. */
  readonly attempt: number
}

/** Why work on a reply must stop: another worker holds the lease (`lost`), or the user has stopped it (`stopped`). */
export type Stop = "lost" | "stopped"

/** The leases of this process: all renewed in one statement, and each given up at once when its `stop` topic arrives. */
export class Leases extends Context.Service<
  Leases,
  {
    /** Keeps the lease renewed while the scope lasts; the returned effect ends when the work must stop. */
    readonly hold: (lease: Lease) => Effect.Effect<Effect.Effect<Stop>, never, Scope.Scope>
  }
>()("chat-backend/replies/Leases") {
  static readonly layer = Layer.effect(
    Leases,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const notifications = yield* Notifications
      const held = new Map<string, { readonly lease: Lease; readonly stop: Deferred.Deferred<Stop> }>()

      const renew = Effect.gen(function* () {
        if (held.size === 0) return
        const entries = [...held.values()]
        const leases = JSON.stringify(
          entries.map(({ lease }) => ({ user_id: lease.userId, id: lease.replyId, attempt: lease.attempt }))
        )
        const renewed = yield* sql<{ id: string }>`
          with ours as (
            select m.user_id, m.id from messages m
            join json_to_recordset(${leases}::text::json) as l (user_id uuid, id uuid, attempt int)
              on m.user_id = l.user_id and m.id = l.id and m.attempt = l.attempt and m.status = 'processing'
            order by m.user_id, m.id for no key update of m
          )
          update messages m set lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds})
          from ours where m.user_id = ours.user_id and m.id = ours.id
          returning m.id
        `.pipe(retryConflicts(sql))
        const ours = new Set(renewed.map(({ id }) => id))
        for (const { lease, stop } of entries) {
          if (!ours.has(lease.replyId)) yield* Deferred.succeed(stop, "lost")
        }
      }).pipe(
        Effect.timeout("8 seconds"),
        Effect.catchCause((cause) => Effect.logWarning("Leases could not be renewed", cause))
      )

      yield* renew.pipe(Effect.repeat(Schedule.spaced(renewEvery)), Effect.forkScoped)
      yield* notifications.onKind("stop", (replyId) => {
        const entry = held.get(replyId)
        if (entry !== undefined) Deferred.doneUnsafe(entry.stop, Effect.succeed("stopped" as const))
      })

      const hold: Leases["Service"]["hold"] = Effect.fn("Leases.hold")(function* (lease) {
        const stop = yield* Deferred.make<Stop>()
        const entry = { lease, stop }
        yield* Effect.acquireRelease(
          Effect.sync(() => held.set(lease.replyId, entry)),
          () => Effect.sync(() => held.get(lease.replyId) === entry && held.delete(lease.replyId))
        )
        return Deferred.await(stop)
      })

      return Leases.of({ hold })
    })
  )
}
