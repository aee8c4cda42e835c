import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"

/** One row a model: until then nobody of the fleet calls it. Claims read it in their own statement. */
export class RateLimitPause extends Context.Service<
  RateLimitPause,
  {
    /** Pauses the model for milliseconds from now; an earlier, longer pause stays. Returns its end. */
    readonly pause: (model: string, milliseconds: number) => Effect.Effect<Date>
  }
>()("chat-backend/replies/RateLimitPause") {
  static readonly layer = Layer.effect(
    RateLimitPause,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const pause = Effect.fn("RateLimitPause.pause")(
        function* (model: string, milliseconds: number) {
          const [row] = yield* sql<{ until: Date }>`
          insert into model_pauses as p (model, until)
          values (${model}, clock_timestamp() + make_interval(secs => ${milliseconds / 1000}))
          on conflict (model) do update set until = greatest(p.until, excluded.until)
          returning until
        `
          return row === undefined ? yield* Effect.die("an upsert returned nothing") : row.until
        },
        Effect.catchTag("SqlError", Effect.die)
      )

      return RateLimitPause.of({ pause })
    })
  )
}
