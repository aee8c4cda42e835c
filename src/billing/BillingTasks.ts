import { Effect, Schema } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"
import type { Task } from "../queue/Tasks.ts"
import { Reconciliation } from "./Reconciliation.ts"
import { syncTask } from "./Webhook.ts"

const decode = Schema.decodeUnknownEffect(
  Schema.Struct({
    customerId: Schema.optionalKey(Schema.NullOr(Schema.String)),
    chargeId: Schema.optionalKey(Schema.NullOr(Schema.String))
  })
)

/** The tasks of billing; none with `BILLING=off`. */
export const makeBillingTasks = Effect.gen(function* () {
  const { billing } = yield* AppConfig
  const reconciliation = yield* Reconciliation
  if (billing === undefined) return []
  const tasks: ReadonlyArray<Task> = [
    {
      name: syncTask,
      run: Effect.fnUntraced(function* (payload) {
        const { chargeId, customerId } = yield* decode(payload)
        if (customerId) yield* reconciliation.reconcileCustomer(customerId)
        else if (chargeId) yield* reconciliation.reconcilePayer(chargeId)
      })
    },
    { name: "stripe_reconcile", run: () => reconciliation.catchUp, cron: "*/10 * * * *" },
    { name: "stripe_reconcile_all", run: () => reconciliation.enqueueAll, cron: "17 3 * * *" }
  ]
  // Stripe neither sends nor lists an event that is 90 days old, and a checkout ends within a day.
  const forgetting = yield* Effect.all([
    makeForgetTask("webhook_events", "outcome <> 'pending' and received_at < now() - interval '90 days'"),
    makeForgetTask("checkout_attempts", "status <> 'open' and created_at < now() - interval '90 days'")
  ])
  return [...tasks, ...forgetting]
})
