import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { SqlClient } from "effect/sql"
import { Api } from "../api/Api.ts"
import { BillingCheck } from "../billing/BillingCheck.ts"
import { AppConfig } from "../config/Settings.ts"
import { appliedMigration, newestMigration } from "../database/Migrations.ts"
import { missingRights, summaryOf } from "../database/Rights.ts"
import { ClockSkew, maximumSkewSeconds } from "../database/ClockSkew.ts"
import { statementMillis } from "../database/Database.ts"
import { Silence } from "../database/Silence.ts"
import { Notifications } from "../database/Notifications.ts"
import { Models } from "../models/Models.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { WorkerHealth } from "../queue/Worker.ts"
import { Draining } from "../ops/Draining.ts"
import { type Checks, NotReady } from "../api/ops/OpsApi.ts"

export const OpsHttp = HttpApiBuilder.group(
  Api,
  "ops",
  Effect.fn(function* (handlers) {
    const sql = yield* SqlClient.SqlClient
    const notifications = yield* Notifications
    const worker = yield* WorkerHealth
    const draining = yield* Draining
    const models = yield* Models

    const skew = yield* ClockSkew

    /** The newest applied migration; undefined when the database does not answer in time. */
    const applied = appliedMigration(sql).pipe(
      unslotted,
      Effect.timeout("2 seconds"),
      Effect.catchCause(() => Effect.undefined)
    )

    /** A right that was lost while the process runs is logged once, and again after it was lost again. */
    let logged: string | undefined
    const rights = missingRights(sql).pipe(
      unslotted,
      Effect.map(summaryOf),
      Effect.tap((problem) => {
        const isNew = problem !== undefined && problem !== logged
        logged = problem
        return isNew ? Effect.logError(`DATABASE_URL: ${problem}`) : Effect.void
      }),
      Effect.timeout("2 seconds"),
      Effect.map((problem) => (problem === undefined ? ("ok" as const) : ("failed" as const))),
      // An unreachable database is another check's failure.
      Effect.catchCause(() => Effect.succeed("ok" as const)),
      Effect.cachedWithTTL("3 seconds")
    )
    const rightsCheck = yield* rights

    const { billing } = yield* AppConfig
    const billingCheck = yield* BillingCheck
    /** A wrong setting of billing, like a price that Stripe does not know. Chatting goes on without, so the process is ready. */
    const billingState = Effect.timeoutOrElse(billingCheck.state, {
      duration: "2 seconds",
      orElse: () => Effect.succeed("ok" as const)
    })

    return handlers.handleAll({
      healthz: () => Effect.succeed({ status: "ok" as const }),
      readyz: Effect.fnUntraced(function* () {
        const migration = yield* applied
        const workerStatus = worker.status()
        const checks: Checks = {
          database: migration === undefined ? "failed" : "ok",
          migrations: migration !== undefined && migration >= newestMigration ? "ok" : "failed",
          rights: yield* rightsCheck,
          notifications: notifications.connected() ? "ok" : "failed",
          // Reads, writes, notifications and the queue: none may have waited for longer than a statement may take.
          connections: Silence.longest() > statementMillis ? "failed" : "ok",
          clock: Math.abs(skew.seconds() ?? 0) > maximumSkewSeconds ? "failed" : "ok",
          process: draining.isLeaving() ? "draining" : "ok",
          model: (yield* models.isDefaultRetiring) ? "retiring" : "ok",
          ...(workerStatus === undefined ? {} : { worker: workerStatus })
        }
        const all: Checks = billing === undefined ? checks : { ...checks, billing: yield* billingState }
        const found = new Set(Object.values(checks))
        const isRetiring = found.delete("retiring")
        found.delete("ok")
        if (found.size > 0) return yield* new NotReady({ checks: all, retryAfter: 1 })
        const isDegraded = isRetiring || all["billing"] === "failed"
        return { status: isDegraded ? ("degraded" as const) : ("ready" as const), checks: all }
      })
    })
  })
)
