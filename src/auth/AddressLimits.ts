import { Context, Duration, Effect, Exit, Layer } from "effect"
import type { Statement } from "effect/sql"
import { TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { addressKey, networksOf } from "../http/ClientAddress.ts"
import { type Allowance, type Rate, Throttle } from "./Throttle.ts"

/**
 * Guesses of one client, for all numbers together: how many may be wrong, and how many a process verifies at the same
 * time. Many users of a mobile carrier share one address. Verifying a password costs a hundred times what a code costs.
 */
const guesses = {
  code: { wrong: { limit: 300, period: Duration.minutes(15) }, atOnce: Number.POSITIVE_INFINITY },
  password: { wrong: { limit: 60, period: Duration.minutes(15) }, atOnce: 4 }
}
/** Numbers that one client registers: each is a row that stays. */
const signUps = { limit: 60, period: Duration.hours(1) }
/** Unknown links, or other secrets, that one client shows. */
const misses = { limit: 60, period: Duration.minutes(1) }

/** What one address, and the networks around it, may do to many accounts. Private addresses are not counted. */
export class AddressLimits extends Context.Service<
  AddressLimits,
  {
    /** Runs `judge`, unless too many guesses of the address or its networks were wrong: then it fails without running it. */
    readonly guess: <A, E, R>(
      what: keyof typeof guesses,
      address: string | null,
      judge: Effect.Effect<A, E, R>,
      isWrong: (error: E) => boolean
    ) => Effect.Effect<A, E | TooManyAttempts, R>
    readonly signUp: (address: string | null) => Effect.Effect<void, TooManyAttempts>
    /**
     * The row that belongs to a secret (`query` selects its `id`), unless the address or its networks showed too many unknown
     * ones. An unknown secret costs one statement, or none while the address has to wait.
     */
    readonly lookUp: <Row extends object>(
      what: string,
      address: string | null,
      query: Statement.Fragment
    ) => Effect.Effect<Row | undefined, TooManyAttempts>
  }
>()("chat-backend/auth/AddressLimits") {
  static readonly layer = Layer.effect(
    AddressLimits,
    Effect.gen(function* () {
      const throttle = yield* Throttle
      const judging = new Map<string, number>()

      const done = (key: string) => {
        const left = (judging.get(key) ?? 1) - 1
        if (left === 0) judging.delete(key)
        else judging.set(key, left)
      }

      /** The allowance of the client, and larger ones of the networks around it. */
      const allowancesOf = (what: string, address: string | null, rate: Rate): ReadonlyArray<Allowance> =>
        networksOf(address).map(({ factor, key }) => ({
          key: `${what}:from:${key}`,
          rate: { ...rate, limit: rate.limit * factor }
        }))

      const takeAll = Effect.fnUntraced(function* (allowances: ReadonlyArray<Allowance>) {
        const denied = yield* throttle.takeAll(allowances)
        if (denied.size > 0) return yield* new TooManyAttempts({ retryAfter: Math.max(...denied.values()) })
      })

      const guess = Effect.fnUntraced(function* <A, E, R>(
        what: keyof typeof guesses,
        address: string | null,
        judge: Effect.Effect<A, E, R>,
        isWrong: (error: E) => boolean
      ) {
        const from = addressKey(address)
        if (from === null) return yield* judge
        const key = `${what}:${from}`
        const { atOnce, wrong } = guesses[what]
        const others = judging.get(key) ?? 0
        if (others >= atOnce) return yield* new TooManyAttempts({ retryAfter: 1 })
        // Taken before the guess is verified, so that parallel guesses get no more than sequential ones. A guess whose
        // client hangs up stays counted: it may have been wrong.
        const allowances = allowancesOf(what, address, { ...wrong, refundable: true })
        const judged = Effect.andThen(
          takeAll(allowances),
          Effect.onExit(judge, (exit) => {
            const isCounted =
              Exit.isFailure(exit) &&
              exit.cause.reasons.some(
                (reason) => reason._tag === "Interrupt" || (reason._tag === "Fail" && isWrong(reason.error))
              )
            return isCounted ? Effect.void : throttle.refundAll(allowances)
          })
        )
        judging.set(key, others + 1)
        return yield* Effect.ensuring(
          judged,
          Effect.sync(() => done(key))
        )
      })

      const signUp: AddressLimits["Service"]["signUp"] = Effect.fnUntraced(function* (address) {
        if (addressKey(address) !== null) yield* takeAll(allowancesOf("signup", address, signUps))
      })

      const lookUp = Effect.fnUntraced(function* <Row extends object>(
        what: string,
        address: string | null,
        query: Statement.Fragment
      ) {
        const { denied, row } = yield* throttle.findOrTake<Row>(query, allowancesOf(what, address, misses))
        if (denied.size > 0) return yield* new TooManyAttempts({ retryAfter: Math.max(...denied.values()) })
        return row
      })

      return AddressLimits.of({ guess, signUp, lookUp })
    })
  )
}
