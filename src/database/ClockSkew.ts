import { Clock, Context, Effect, Layer, Schedule } from "effect"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { ReadSql } from "./Database.ts"

/** Seconds of difference that are worth a warning, and past which a process is not ready. */
const warnSeconds = 2
export const maximumSkewSeconds = 5

/**
 * How far this process's clock is from the database's. Tokens, expiry times and logs use this clock; quotas, leases and
 * the order of messages use the database's. A difference of some seconds makes other processes refuse this one's tokens.
 */
export class ClockSkew extends Context.Service<
  ClockSkew,
  {
    /** Seconds that this process is ahead of the database (negative: behind); undefined until it is known. */
    readonly seconds: () => number | undefined
  }
>()("chat-backend/database/ClockSkew") {
  static readonly layer = Layer.effect(
    ClockSkew,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      let seconds: number | undefined
      let isWarned = false

      const measure = Effect.gen(function* () {
        const before = yield* Clock.currentTimeMillis
        const [row] = yield* sql<{ now: Date }>`select clock_timestamp() as now`
        const after = yield* Clock.currentTimeMillis
        if (row === undefined) return
        // The database read its clock at some moment between the two; only what no such moment explains is skew.
        const now = row.now.getTime()
        seconds = now < before ? (before - now) / 1_000 : now > after ? (after - now) / 1_000 : 0
        const isOff = Math.abs(seconds) > warnSeconds
        if (isOff && !isWarned) {
          const direction = seconds > 0 ? "ahead of" : "behind"
          yield* Effect.logWarning(`This process's clock is ${Math.abs(seconds).toFixed(1)} s ${direction} the database's`)
        }
        isWarned = isOff
      })

      yield* backgroundStep("The clocks could not be compared", measure)
      yield* backgroundStep("The clocks could not be compared", measure).pipe(
        Effect.repeat(Schedule.spaced("30 seconds")),
        Effect.forkScoped
      )
      return ClockSkew.of({ seconds: () => seconds })
    })
  )
}
