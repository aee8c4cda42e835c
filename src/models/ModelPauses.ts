import { Effect, Metric } from "effect"
import type { SqlClient } from "effect/sql"

const pauseOf = (model: string) =>
  Metric.gauge("chat_model_pause_seconds", {
    description: "How long a model is still paused, because Google asked for it (429).",
    attributes: { model }
  })

/** Reads the models that are paused into the metrics. One whose pause is over is still there, at zero. */
export const makePauseMeasure = (sql: SqlClient.SqlClient, defaultModel: string) => {
  const known = new Set([defaultModel])
  return Effect.gen(function* () {
    const rows = yield* sql<{ model: string; seconds: number }>`
      select model, extract(epoch from until - clock_timestamp())::float8 as seconds
      from model_pauses where until > clock_timestamp()
    `
    const seconds = new Map(rows.map((row) => [row.model, row.seconds]))
    for (const model of seconds.keys()) known.add(model)
    for (const model of known) yield* Metric.update(pauseOf(model), seconds.get(model) ?? 0)
  })
}
