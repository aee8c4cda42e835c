import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"

/** Until when a model is paused, for all processes: one row a model. A claim reads it in its own statement. */
export class RateLimitPause extends Context.Service<
  RateLimitPause,
  {
    /** Pauses the model for at least this many milliseconds from now, and returns when the pause ends. */
    readonly pause: (model: string, milliseconds: number) => Effect.Effect<Date>
  }
>()("chat-backend/replies/RateLimitPause") {
  static readonly layer = Layer.effect(
    RateLimitPause,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const pause = Effect.fn("RateLimitPause.pause")(function* (model: string, milliseconds: number) {
        const [row] = yield* sql<{ until: Date; isNew: boolean }>`
          with old as (select until from model_pauses where model = ${model})
          insert into model_pauses as p (model, until)
          values (${model}, clock_timestamp() + make_interval(secs => ${milliseconds / 1000}))
          on conflict (model) do update set until = greatest(p.until, excluded.until)
          returning until, not exists (select from old where old.until > clock_timestamp()) as is_new
        `
        if (row === undefined) return yield* Effect.die("an upsert returned nothing")
        if (row.isNew)
          yield* Effect.logWarning(`Google asks for a pause (429): ${model} is paused until ${row.until.toISOString()}`)
        return row.until
      }, Effect.orDie)

      return RateLimitPause.of({ pause })
    })
  )
}
