import { Clock, Context, Duration, Effect, Layer } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { DenialCache } from "./DenialCache.ts"

/** `limit` events per `period`, refilled evenly. */
export interface Rate {
  readonly limit: number
  readonly period: Duration.Duration
  /** Whether any process calls `refund` or `reset` for its keys. */
  readonly refundable?: boolean | undefined
}

const seconds = (duration: Duration.Duration) => Duration.toMillis(duration) / 1000

/** An allowance that is used up, with the seconds to wait. */
interface Denied {
  readonly key: string
  readonly wait: number
}

/** A key and the rate that limits it. */
export interface Allowance {
  readonly key: string
  readonly rate: Rate
}

/** A rate limiter in Postgres, exact over any number of processes (GCRA: one timestamp per key). */
export class Throttle extends Context.Service<
  Throttle,
  {
    /** Takes one from the key's allowance. Returns 0, or the whole seconds to wait when the allowance is used up. */
    readonly take: (key: string, rate: Rate) => Effect.Effect<number>
    /**
     * Takes one from each allowance, or from none when one of them is used up. Returns the keys that are used up, with
     * the whole seconds to wait.
     */
    readonly takeAll: (allowances: ReadonlyArray<Allowance>) => Effect.Effect<ReadonlyMap<string, number>>
    /**
     * The row of a query that finds one at most and selects its `id`; without a row takes one from each allowance, in the same
     * statement. When an allowance is used up, `denied` has the seconds to wait; the query does not run while they are known.
     */
    readonly findOrTake: <Row extends object>(
      query: Statement.Fragment,
      allowances: ReadonlyArray<Allowance>
    ) => Effect.Effect<{ readonly row: Row | undefined; readonly denied: ReadonlyMap<string, number> }>
    /** The seconds to wait that this process remembers. It does not query, so 0 does not mean that a take would succeed. */
    readonly cachedWait: (key: string) => Effect.Effect<number>
    /** Like `take`, but takes nothing. */
    readonly peek: (key: string, rate: Rate) => Effect.Effect<number>
    /** Gives back what one `take` took. */
    readonly refund: (key: string, rate: Rate) => Effect.Effect<void>
    /** Gives back what one `takeAll` took. */
    readonly refundAll: (allowances: ReadonlyArray<Allowance>) => Effect.Effect<void>
    /** Deletes the key, so that its allowance is full again. */
    readonly reset: (key: string) => Effect.Effect<void>
  }
>()("chat-backend/auth/Throttle") {
  static readonly layer = Layer.effect(
    Throttle,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const denials = new DenialCache()
      const cachedWait = (key: string) => Effect.map(Clock.currentTimeMillis, (now) => denials.secondsLeft(key, now))
      const remember = (key: string, rate: Rate, wait: number) =>
        Effect.map(Clock.currentTimeMillis, (now) => denials.remember(key, wait, now, rate.refundable === true))

      const knownWaits = (allowances: ReadonlyArray<Allowance>) =>
        Effect.map(
          Clock.currentTimeMillis,
          (now) =>
            new Map(allowances.map(({ key }) => [key, denials.secondsLeft(key, now)] as const).filter(([, wait]) => wait > 0))
        )

      /** The rows of `take_throttles`: the allowances that are used up. */
      const taken = (allowances: ReadonlyArray<Allowance>) => {
        const requested = allowances.map(({ key, rate }) => {
          const period = seconds(rate.period)
          return { key, period, step: period / rate.limit }
        })
        return sql`take_throttles(${JSON.stringify(requested)}::text::json)`
      }

      const rememberAll = Effect.fnUntraced(function* (allowances: ReadonlyArray<Allowance>, denied: ReadonlyArray<Denied>) {
        const waits = new Map(denied.map(({ key, wait }) => [key, wait]))
        for (const { key, rate } of allowances) {
          const wait = waits.get(key)
          if (wait !== undefined) yield* remember(key, rate, wait)
        }
        return waits
      })

      const takeAll = Effect.fn("Throttle.takeAll")(function* (allowances: ReadonlyArray<Allowance>) {
        const known = yield* knownWaits(allowances)
        if (known.size > 0) return known
        return yield* rememberAll(allowances, yield* sql<Denied>`select key, wait from ${taken(allowances)}`)
      }, Effect.orDie)

      const findOrTake = Effect.fn("Throttle.findOrTake")(function* <Row extends object>(
        query: Statement.Fragment,
        allowances: ReadonlyArray<Allowance>
      ): Effect.fn.Return<{ readonly row: Row | undefined; readonly denied: ReadonlyMap<string, number> }, SqlError> {
        const known = yield* knownWaits(allowances)
        if (known.size > 0) return { row: undefined, denied: known }
        const [row] = yield* sql<Row & { readonly id: string | null; readonly denied: ReadonlyArray<Denied> | null }>`
          select found.*, case when found.id is null then (select json_agg(t) from ${taken(allowances)} t) end as denied
          from (select 1) one left join (${query}) found on true
        `
        if (row === undefined || row.id === null) {
          return { row: undefined, denied: yield* rememberAll(allowances, row?.denied ?? []) }
        }
        return { row, denied: new Map<string, number>() }
      }, Effect.orDie)

      const take = (key: string, rate: Rate) => Effect.map(takeAll([{ key, rate }]), (denied) => denied.get(key) ?? 0)

      const peek = Effect.fn("Throttle.peek")(function* (key: string, rate: Rate) {
        const known = yield* cachedWait(key)
        if (known > 0) return known
        const period = seconds(rate.period)
        const [row] = yield* sql<{ wait: number }>`
          select ceil(extract(epoch from greatest(tat, clock_timestamp()) + make_interval(secs => ${period / rate.limit})
            - make_interval(secs => ${period}) - clock_timestamp()))::float8 as wait
          from throttles where key = ${key}
        `
        const wait = Math.max(0, row?.wait ?? 0)
        if (wait > 0) yield* remember(key, rate, wait)
        return wait
      }, Effect.orDie)

      const refundAll = Effect.fn("Throttle.refundAll")(function* (allowances: ReadonlyArray<Allowance>) {
        for (const { key } of allowances) denials.forget(key)
        const steps = allowances.map(({ key, rate }) => ({ key, step: seconds(rate.period) / rate.limit }))
        // Locked in the order of the keys, as `take_throttles` does. An allowance that is full again needs no row.
        yield* sql`
          with held as (
            select t.key, t.tat - make_interval(secs => a.step) as tat
            from throttles t join json_to_recordset(${JSON.stringify(steps)}::text::json) as a (key text, step float8) on a.key = t.key
            order by t.key for update of t
          ), full_again as (
            delete from throttles t using held where t.key = held.key and held.tat <= clock_timestamp()
          )
          update throttles t set tat = held.tat from held where t.key = held.key and held.tat > clock_timestamp()
        `
      }, Effect.orDie)

      const refund = (key: string, rate: Rate) => refundAll([{ key, rate }])

      const reset = Effect.fn("Throttle.reset")(function* (key: string) {
        denials.forget(key)
        yield* sql`delete from throttles where key = ${key}`
      }, Effect.orDie)

      return Throttle.of({ take, takeAll, findOrTake, cachedWait, peek, refund, refundAll, reset })
    })
  )
}
