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

/** An allowance to take one of. */
export interface Allowance {
  readonly key: string
  readonly rate: Rate
}

/** A rate limiter in Postgres, exact for any number of processes (GCRA: one timestamp a key). */
export class Throttle extends Context.Service<
  Throttle,
  {
    /** Takes one from the key's allowance; returns 0, or the whole seconds to wait when there is none. */
    readonly take: (key: string, rate: Rate) => Effect.Effect<number>
    /**
     * Takes one from each allowance, or from none of them when any is used up: who is refused at one has used nothing of
     * the others. Returns those that are used up, with the whole seconds to wait.
     */
    readonly takeAll: (allowances: ReadonlyArray<Allowance>) => Effect.Effect<ReadonlyMap<string, number>>
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

      const takeAll = Effect.fn("Throttle.takeAll")(function* (allowances: ReadonlyArray<Allowance>) {
        const now = yield* Clock.currentTimeMillis
        const known = allowances.flatMap(({ key }) => {
          const denial = denials.get(key)
          return denial !== undefined && denial.until > now ? [[key, denial.wait] as const] : []
        })
        if (known.length > 0) return new Map(known)
        const asked = allowances.map(({ key, rate }) => {
          const period = seconds(rate.period)
          return { key, period, step: period / rate.limit }
        })
        const denied = yield* sql<{ key: string; wait: number }>`
          select key, wait from take_throttles(${JSON.stringify(asked)}::text::json)
        `
        const told = yield* Clock.currentTimeMillis
        for (const { key, wait } of denied) denials.set(key, { wait, until: told + Math.min(wait * 1000, rememberedMillis) })
        return new Map(denied.map(({ key, wait }) => [key, wait]))
      }, Effect.orDie)

      const take = (key: string, rate: Rate) => Effect.map(takeAll([{ key, rate }]), (denied) => denied.get(key) ?? 0)

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

      return Throttle.of({ take, takeAll, peek, giveBack, reset })
    })
  )
}
