import { Context, Duration, Effect, Layer } from "effect"
import { TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { Throttle } from "./Throttle.ts"

/**
 * Guesses from one address, whatever numbers they are for: how many may be wrong, and how many a process judges at
 * once, for a flood is over before the first of it was found wrong. A mobile carrier has many people behind one
 * address; a password costs a hundred times what a code costs to judge, which is one statement.
 */
const guesses = {
  code: { wrong: { limit: 300, period: Duration.minutes(15) }, atOnce: Number.POSITIVE_INFINITY },
  password: { wrong: { limit: 60, period: Duration.minutes(15) }, atOnce: 4 }
}
/** Numbers that are registered from one address: each is a row that stays. */
const signUps = { limit: 60, period: Duration.hours(1) }

/** What one address may do to many accounts; where addresses tell nobody apart, nothing is counted. */
export class AddressLimits extends Context.Service<
  AddressLimits,
  {
    /** Judges a guess, unless too many from its address were wrong: then it is refused without a query. */
    readonly guess: <A, E, R>(
      what: keyof typeof guesses,
      address: string | null,
      judge: Effect.Effect<A, E, R>,
      isWrong: (error: E) => boolean
    ) => Effect.Effect<A, E | TooManyAttempts, R>
    readonly signUp: (address: string | null) => Effect.Effect<void, TooManyAttempts>
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

      const guess = Effect.fnUntraced(function* <A, E, R>(
        what: keyof typeof guesses,
        address: string | null,
        judge: Effect.Effect<A, E, R>,
        isWrong: (error: E) => boolean
      ) {
        const from = addressKey(address)
        if (from === null) return yield* judge
        const key = `${what}:from:${from}`
        const { atOnce, wrong } = guesses[what]
        const others = judging.get(key) ?? 0
        const wait = others < atOnce ? yield* throttle.cachedWait(key) : 1
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        judging.set(key, others + 1)
        return yield* judge.pipe(
          Effect.tapError((error) => (isWrong(error) ? throttle.take(key, wrong) : Effect.void)),
          Effect.ensuring(Effect.sync(() => done(key)))
        )
      })

      const signUp: AddressLimits["Service"]["signUp"] = Effect.fnUntraced(function* (address) {
        const from = addressKey(address)
        const wait = from === null ? 0 : yield* throttle.take(`signup:from:${from}`, signUps)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
      })

      return AddressLimits.of({ guess, signUp })
    })
  )
}
