import { Context, Effect, Layer } from "effect"
import { SqlClient, type SqlError } from "effect/sql"

/** Which numbers have had a trial. A number keeps its mark when its account is deleted, so a new account gets no second one. */
export class Trials extends Context.Service<
  Trials,
  {
    readonly isUsed: (quotaKey: string) => Effect.Effect<boolean>
    /** Marks the number of a user. Part of the transaction that stores the subscription with the trial. */
    readonly record: (userId: string) => Effect.Effect<void, SqlError.SqlError>
  }
>()("chat-backend/billing/Trials") {
  static readonly layer = Layer.effect(
    Trials,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const isUsed: Trials["Service"]["isUsed"] = Effect.fn("Trials.isUsed")(function* (quotaKey) {
        const rows = yield* sql`select 1 from trial_uses where quota_key = ${quotaKey}`
        return rows.length > 0
      }, Effect.orDie)

      const record: Trials["Service"]["record"] = Effect.fn("Trials.record")(function* (userId) {
        yield* sql`
          insert into trial_uses (quota_key) select quota_key from users where id = ${userId} on conflict (quota_key) do nothing
        `
      })

      return Trials.of({ isUsed, record })
    })
  )
}
