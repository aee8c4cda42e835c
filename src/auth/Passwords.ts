import { hash as argonHash, verify as argonVerify } from "@node-rs/argon2"
import { dictionary } from "@zxcvbn-ts/language-common"
import { Context, Duration, Effect, Layer, Redacted, Semaphore } from "effect"
import { PasswordsBusy, TooManyAttempts, WeakPassword } from "../api/auth/AuthErrors.ts"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { Throttle } from "./Throttle.ts"

/** OWASP's second choice of parameters for argon2id: 19 MiB, two passes, one lane. */
const argon2id = 2
const cost = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
/** Hashes that a process computes at once, and requests that may wait for their turn. */
const concurrency = 2
const maximumWaiting = 32

const minimumLength = 8
const maximumLength = 128

/** NIST SP 800-63B: refuse common passwords, and require no mix of character kinds. */
const common: ReadonlySet<string> = new Set(dictionary["passwords-common"].filter((word) => word.length >= minimumLength))

/** Wrong passwords for one subject: a number at the login, or a user who changes the password. */
const wrongGuesses = { limit: 10, period: Duration.minutes(15), refundable: true }

/** Hashing and verifying passwords: argon2id, with bounded concurrency. */
export class Passwords extends Context.Service<
  Passwords,
  {
    readonly check: (password: Redacted.Redacted) => Effect.Effect<void, WeakPassword>
    readonly hash: (password: Redacted.Redacted) => Effect.Effect<string, PasswordsBusy>
    /** Without a hash it takes as long and returns false, so that timing does not show which numbers have a password. */
    readonly verify: (hash: string | null, password: Redacted.Redacted) => Effect.Effect<boolean, PasswordsBusy>
    /** Like `verify`, but fails after too many wrong passwords for the subject. A missing password is wrong. */
    readonly guess: (
      subject: `mobile:${string}` | `user:${string}`,
      hash: string | null,
      password: Redacted.Redacted | undefined
    ) => Effect.Effect<boolean, PasswordsBusy | TooManyAttempts>
  }
>()("chat-backend/auth/Passwords") {
  static readonly layer = Layer.effect(
    Passwords,
    Effect.gen(function* () {
      const throttle = yield* Throttle
      const permits = yield* Semaphore.make(concurrency)
      const unknownHash = yield* Effect.promise(() => argonHash(crypto.randomUUID(), cost))
      const busy = Effect.fail(new PasswordsBusy({ retryAfter: 2 }))
      let admitted = 0

      const withPermit = <A>(work: () => Promise<A>) =>
        Effect.suspend(() => {
          if (admitted >= maximumWaiting + concurrency) return busy
          admitted++
          // The hashing thread cannot be interrupted, so a client that hangs up keeps the permit until it is done.
          const done = permits.withPermits(1)(Effect.uninterruptible(Effect.promise(work)))
          return withoutSlot(done, { onFull: busy }).pipe(Effect.ensuring(Effect.sync(() => void admitted--)))
        })

      const verify: Passwords["Service"]["verify"] = (hash, password) =>
        Effect.map(
          withPermit(() => argonVerify(hash ?? unknownHash, Redacted.value(password))),
          (matches) => matches && hash !== null
        )

      /** Takes an attempt before verifying, so that parallel guesses cannot exceed the limit; refunds it unless it was wrong. */
      const guess: Passwords["Service"]["guess"] = Effect.fn("Passwords.guess")(function* (subject, hash, password) {
        const key = `password:${subject}`
        const wait = yield* throttle.take(key, wrongGuesses)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        if (password === undefined) return false
        const isRight = yield* Effect.tapError(verify(hash, password), () => throttle.refund(key, wrongGuesses))
        if (isRight) yield* throttle.refund(key, wrongGuesses)
        return isRight
      })

      return Passwords.of({
        check: (password) => {
          const text = Redacted.value(password)
          const length = [...text].length
          if (length < minimumLength || length > maximumLength) {
            return Effect.fail(new WeakPassword({ detail: `A password has ${minimumLength} to ${maximumLength} characters` }))
          }
          return common.has(text.toLowerCase())
            ? Effect.fail(new WeakPassword({ detail: "This password is one of the most common ones" }))
            : Effect.void
        },
        hash: (password) => withPermit(() => argonHash(Redacted.value(password), cost)),
        verify,
        guess
      })
    })
  )
}
