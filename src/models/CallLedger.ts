import { Context, Effect, Layer, Metric, Struct } from "effect"
import { SqlClient } from "effect/sql"
import type { UsageReport } from "../api/ops/AdminApi.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { AppConfig } from "../config/Settings.ts"
import { ReadSql } from "../database/Database.ts"
import { makePauseMeasure } from "./ModelPauses.ts"

const maximumDays = 400

/** Calls of the last hour, so that a scrape reads few rows. */
const unpricedCalls = Metric.gauge("chat_model_calls_unpriced", {
  description: "Calls of the last hour for whose model the server has no price, or the price of the asked model alone."
})

type Group = UsageReport["by"]
const keys: Readonly<Record<Group, string>> = {
  day: "(at at time zone 'utc')::date::text",
  model: "coalesce(model_version, model)",
  tier: "tier"
}

const isDay = (day: string) => new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day) === true

/** The ledger of the model's calls, for operators. */
export class CallLedger extends Context.Service<
  CallLedger,
  {
    /** Sums by day, model or tier, from one UTC day to another; the last thirty days when they are omitted. */
    readonly report: (query: {
      readonly from?: string | undefined
      readonly to?: string | undefined
      readonly by?: Group | undefined
    }) => Effect.Effect<UsageReport, ValidationFailed>
    /** Reads the ledger, and the models that are paused, into the metrics. */
    readonly measure: Effect.Effect<void>
  }
>()("chat-backend/models/CallLedger") {
  static readonly layer = Layer.effect(
    CallLedger,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const registry = yield* Metric.MetricRegistry
      const measurePauses = makePauseMeasure(sql, (yield* AppConfig).defaultModel)

      const report: CallLedger["Service"]["report"] = Effect.fn("CallLedger.report")(function* ({ by = "day", ...days }) {
        const wrong = (["from", "to"] as const).filter((name) => days[name] !== undefined && !isDay(days[name]))
        if (wrong.length > 0) {
          return yield* new ValidationFailed({
            errors: wrong.map((name) => ({ path: `query.${name}`, message: "must be a date like 2026-11-30" }))
          })
        }
        const [period] = yield* readSql<{ from: string; to: string; days: number }>`
          select p.from::text as from, p.to::text as to, p.to - p.from as days from (
            select coalesce(${days.to ?? null}::date, (now() at time zone 'utc')::date) as to,
              coalesce(${days.from ?? null}::date, coalesce(${days.to ?? null}::date, (now() at time zone 'utc')::date) - 29) as from) p
        `.pipe(Effect.orDie)
        if (period === undefined) return yield* Effect.die("a select without a table returned nothing")
        if (period.days < 0 || period.days > maximumDays) {
          const message = `must be from 0 to ${maximumDays} days before the last day`
          return yield* new ValidationFailed({ errors: [{ path: "query.from", message }] })
        }
        const data = yield* readSql<UsageReport["data"][number] & { readonly unpriced: number }>`
          select ${sql.literal(keys[by])} as key, count(*)::float8 as calls, sum(prompt_tokens)::float8 as prompt_tokens,
            sum(cached_tokens)::float8 as cached_tokens, sum(tool_tokens)::float8 as tool_tokens,
            sum(reply_tokens)::float8 as reply_tokens, sum(thought_tokens)::float8 as thought_tokens,
            sum(searches)::float8 as searches, coalesce(sum(cost_micros), 0)::float8 as cost_micros,
            count(*) filter (where not is_priced)::float8 as unpriced
          from model_calls
          where at >= ${period.from}::date::timestamp at time zone 'utc' and at < (${period.to}::date + 1)::timestamp at time zone 'utc'
          group by 1 order by 1 limit 1000
        `.pipe(Effect.orDie)
        return {
          from: period.from,
          to: period.to,
          by,
          data: data.map(Struct.omit(["unpriced"])),
          unpriced: data.reduce((sum, { unpriced }) => sum + unpriced, 0)
        }
      })

      const measure = Effect.gen(function* () {
        const [row] = yield* sql<{ count: number }>`
          select count(*)::int as count from model_calls where at > now() - interval '1 hour' and not is_priced
        `
        yield* Metric.update(unpricedCalls, row?.count ?? 0)
        yield* measurePauses
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry), Effect.orDie)

      return CallLedger.of({ report, measure })
    })
  )
}
