import { Clock, Context, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { SpendLimitReached } from "../api/chat/ChatErrors.ts"
import { AppConfig } from "../config/Settings.ts"

const day = 86_400_000
/** How often a process reads what all users have spent. */
const readEvery = "5 seconds"

/** The deployment's limit of money a UTC day, by the sum of the last seconds: what is in flight may exceed it. */
export class Spending extends Context.Service<
  Spending,
  {
    /** Fails when the day's money is spent. */
    readonly check: Effect.Effect<void, SpendLimitReached>
  }
>()("chat-backend/models/Spending") {
  static readonly layer = Layer.effect(
    Spending,
    Effect.gen(function* () {
      const { dailySpendLimit } = yield* AppConfig
      if (dailySpendLimit === undefined) return Spending.of({ check: Effect.void })
      const sql = yield* SqlClient.SqlClient
      let isSpent = false

      const read = sql<{ spent: number }>`
        select coalesce(sum(cost_micros + reserved_micros), 0)::float8 as spent from usage_daily
        where day = (clock_timestamp() at time zone 'utc')::date
      `.pipe(
        Effect.map(([row]) => {
          isSpent = (row?.spent ?? 0) >= dailySpendLimit
        }),
        Effect.timeout("10 seconds"),
        Effect.catchCause((cause) => Effect.logWarning("The day's spending could not be read", cause))
      )
      yield* read
      yield* read.pipe(Effect.repeat(Schedule.spaced(readEvery)), Effect.forkScoped)

      const check = Effect.suspend(() =>
        isSpent
          ? Effect.flatMap(Clock.currentTimeMillis, (now) =>
              Effect.fail(new SpendLimitReached({ retryAfter: Math.ceil((day - (now % day)) / 1_000) }))
            )
          : Effect.void
      )
      return Spending.of({ check })
    })
  )
}
