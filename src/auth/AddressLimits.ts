import { Context, Duration, Effect, Layer } from "effect"
import { TooManyAttempts } from "./AuthErrors.ts"
import { addressKey } from "./ClientAddress.ts"
import { Throttle } from "./Throttle.ts"

/**
 * Wrong guesses from one address, whatever numbers they are for; a mobile carrier has many people behind one. A password
 * costs a hundred times what a code costs to judge.
 */
const wrongGuesses = {
  code: { limit: 300, period: Duration.minutes(15) },
  password: { limit: 60, period: Duration.minutes(15) }
}
/** Numbers that are registered from one address: each is a row that stays. */
const signUps = { limit: 60, period: Duration.hours(1) }

/** What one address may do to many accounts; where addresses tell nobody apart, nothing is counted. */
export class AddressLimits extends Context.Service<
  AddressLimits,
  {
    /** Judges a guess, unless too many from its address were wrong: then it is refused without a query. */
    readonly guess: <A, E, R>(
      what: keyof typeof wrongGuesses,
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

      const guess = Effect.fnUntraced(function* <A, E, R>(
        what: keyof typeof wrongGuesses,
        address: string | null,
        judge: Effect.Effect<A, E, R>,
        isWrong: (error: E) => boolean
      ) {
        const from = addressKey(address)
        if (from === null) return yield* judge
        const key = `${what}:from:${from}`
        const wait = yield* throttle.known(key)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        return yield* Effect.tapError(judge, (error) => (isWrong(error) ? throttle.take(key, wrongGuesses[what]) : Effect.void))
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
