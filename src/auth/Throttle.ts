import { Clock, Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { LRUCache } from "lru-cache"

/** `limit` events in `period`, evenly refilled. */
export interface Rate {
  readonly limit: number
  readonly period: Duration.Duration
}

/** Denials remembered in the process, each for a second at the most: a flood of the denied costs one query a second. */
const maximumDenials = 20_000
const rememberedMillis = 1_000

const seconds = (duration: Duration.Duration) => Duration.toMillis(duration) / 1000

/** A rate limiter in Postgres, exact for any number of processes (GCRA: one timestamp a key). */
export class Throttle extends Context.Service<
  Throttle,
  {
    /** Takes one from the key's allowance; returns 0, or the whole seconds to wait when there is none. */
    readonly take: (key: string, rate: Rate) => Effect.Effect<number>
    /** As `take`, but takes nothing. */
    readonly peek: (key: string, rate: Rate) => Effect.Effect<number>
    /** Gives back what a `take` took: it was nothing that counts. */
    readonly giveBack: (key: string, rate: Rate) => Effect.Effect<void>
    /** Forgets the key: its allowance is full again. */
    readonly reset: (key: string) => Effect.Effect<void>
  }
>()("chat-backend/auth/Throttle") {
  static readonly layer = Layer.effect(
    Throttle,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const denials = new LRUCache<string, { readonly wait: number; readonly until: number }>({ max: maximumDenials })
      const denied = Effect.fnUntraced(function* (key: string) {
        const denial = denials.get(key)
        return denial !== undefined && denial.until > (yield* Clock.currentTimeMillis) ? denial.wait : 0
      })

      const take = Effect.fn("Throttle.take")(function* (key: string, rate: Rate) {
        const known = yield* denied(key)
        if (known > 0) return known
        const period = seconds(rate.period)
        const step = period / rate.limit
        const [row] = yield* sql<{ wait: number }>`
          with up as (
            insert into throttles as t (key, tat) values (${key}, clock_timestamp() + make_interval(secs => ${step}))
            on conflict (key) do update set tat = greatest(t.tat + make_interval(secs => ${step}), excluded.tat)
            where greatest(t.tat + make_interval(secs => ${step}), excluded.tat)
              - (excluded.tat - make_interval(secs => ${step})) <= make_interval(secs => ${period})
            returning 1
          )
          select 0::float8 as wait from up
          union all
          select greatest(1, ceil(extract(epoch from tat + make_interval(secs => ${step})
            - make_interval(secs => ${period}) - clock_timestamp())))::float8
          from throttles where key = ${key} and not exists (select 1 from up)
        `
        const wait = row?.wait ?? 1
        if (wait > 0)
          denials.set(key, { wait, until: (yield* Clock.currentTimeMillis) + Math.min(wait * 1000, rememberedMillis) })
        return wait
      }, Effect.orDie)

      const peek = Effect.fn("Throttle.peek")(function* (key: string, rate: Rate) {
        const period = seconds(rate.period)
        const [row] = yield* sql<{ wait: number }>`
          select ceil(extract(epoch from greatest(tat, clock_timestamp()) + make_interval(secs => ${period / rate.limit})
            - make_interval(secs => ${period}) - clock_timestamp()))::float8 as wait
          from throttles where key = ${key}
        `
        return Math.max(0, row?.wait ?? 0)
      }, Effect.orDie)

      const giveBack = Effect.fn("Throttle.giveBack")(function* (key: string, rate: Rate) {
        denials.delete(key)
        yield* sql`update throttles set tat = tat - make_interval(secs => ${seconds(rate.period) / rate.limit}) where key = ${key}`
      }, Effect.orDie)

      const reset = Effect.fn("Throttle.reset")(function* (key: string) {
        denials.delete(key)
        yield* sql`delete from throttles where key = ${key}`
      }, Effect.orDie)

      return Throttle.of({ take, peek, giveBack, reset })
    })
  )
}
