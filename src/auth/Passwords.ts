import { Context, Duration, Effect, Layer, Redacted } from "effect"
import {
  CurrentPasswordInvalid,
  type PasswordsBusy,
  SamePassword,
  TooManyAttempts,
  WeakPassword
} from "../api/auth/AuthErrors.ts"
import { containsOwnDetails, type OwnDetails } from "./OwnDetails.ts"
import { makePasswordQueue } from "./PasswordQueue.ts"
import { Throttle } from "./Throttle.ts"

/** OWASP's second choice of parameters for argon2id: 19 MiB, two passes, one lane. */
const argon2id = 2
const cost = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const minimumLength = 8
const maximumLength = 128

/** The native addon, loaded with the first password that is hashed: most users have none. */
const argon2 = () => import("@node-rs/argon2")

/** NIST SP 800-63B: refuse common passwords, and require no mix of character kinds. Loaded with the first check. */
const loadCommon = async (): Promise<ReadonlySet<string>> => {
  const { dictionary } = await import("@zxcvbn-ts/language-common")
  return new Set(dictionary["passwords-common"].filter((word) => word.length >= minimumLength))
}

/** Wrong passwords at the login for a number, and of a user who changes the password. */
const limits = {
  mobile: { limit: 10, period: Duration.minutes(15), refundable: true },
  user: { limit: 5, period: Duration.minutes(15), refundable: true }
}

type Failure = PasswordsBusy | TooManyAttempts

/** Hashing and verifying passwords: argon2id, with bounded concurrency (`makePasswordQueue`). */
export class Passwords extends Context.Service<
  Passwords,
  {
    /** Refuses passwords that are too short, too long, common, or contain what is known of the user. */
    readonly check: (password: Redacted.Redacted, own: OwnDetails) => Effect.Effect<void, WeakPassword>
    /** An argon2id hash in PHC format. `mobile` is the number whose share of the queue it takes. */
    readonly hash: (mobile: string, password: Redacted.Redacted) => Effect.Effect<string, Failure>
    /**
     * Whether the password has this hash. Without a hash it takes as long and returns false, so that timing does not
     * show which numbers have a password. Fails after ten wrong passwords in a quarter of an hour for the number.
     */
    readonly guess: (mobile: string, hash: string | null, password: Redacted.Redacted) => Effect.Effect<boolean, Failure>
    /**
     * Verifies the current password of a user who changes it; a missing one is wrong. Fails after five failures in a
     * quarter of an hour, from whatever address: wrong passwords, and new ones that are the old one.
     */
    readonly checkChange: (
      user: { readonly userId: string; readonly mobile: string },
      hash: string | null,
      current: Redacted.Redacted | undefined,
      next: Redacted.Redacted
    ) => Effect.Effect<void, CurrentPasswordInvalid | SamePassword | Failure>
    /** Refuses a new password that is the old one. It counts like a failure of `checkChange`. */
    readonly checkDiffers: (
      user: { readonly userId: string; readonly mobile: string },
      hash: string,
      next: Redacted.Redacted
    ) => Effect.Effect<void, SamePassword | Failure>
  }
>()("chat-backend/auth/Passwords") {
  static readonly layer = Layer.effect(
    Passwords,
    Effect.gen(function* () {
      const throttle = yield* Throttle
      const queued = yield* makePasswordQueue
      const common = yield* Effect.cached(Effect.promise(loadCommon))
      const argonHash = async (password: string) => (await argon2()).hash(password, cost)
      let unknownHash: Promise<string> | undefined

      const verify = (mobile: string, hash: string | null, password: Redacted.Redacted) =>
        Effect.map(
          queued(mobile, async () => {
            // Made for a known number as well, so that the first guess of a process takes as long for both.
            unknownHash ??= argonHash(crypto.randomUUID())
            const other = await unknownHash
            return (await argon2()).verify(hash ?? other, Redacted.value(password))
          }),
          (matches) => matches && hash !== null
        )

      /** Takes an attempt first, so that parallel ones cannot exceed the limit. Refunds it unless `isFailure` holds. */
      const counted = Effect.fnUntraced(function* <A>(
        kind: keyof typeof limits,
        subject: string,
        attempt: Effect.Effect<A, Failure>,
        isFailure: (result: A) => boolean
      ) {
        const key = `password:${kind}:${subject}`
        const wait = yield* throttle.take(key, limits[kind])
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        const result = yield* Effect.onError(attempt, () => throttle.refund(key, limits[kind]))
        if (!isFailure(result)) yield* throttle.refund(key, limits[kind])
        return result
      })

      const check: Passwords["Service"]["check"] = Effect.fnUntraced(function* (password, own) {
        const text = Redacted.value(password)
        const length = [...text].length
        if (length < minimumLength || length > maximumLength) {
          return yield* new WeakPassword({ detail: `A password has ${minimumLength} to ${maximumLength} characters` })
        }
        if ((yield* common).has(text.toLowerCase())) {
          return yield* new WeakPassword({ detail: "This password is one of the most common ones" })
        }
        if (containsOwnDetails(text, own)) {
          return yield* new WeakPassword({ detail: "A password must not contain your own number, name or e-mail" })
        }
      })

      const hash: Passwords["Service"]["hash"] = Effect.fn("Passwords.hash")((mobile, password) =>
        queued(mobile, () => argonHash(Redacted.value(password)))
      )

      const guess: Passwords["Service"]["guess"] = Effect.fn("Passwords.guess")((mobile, hashed, password) =>
        counted("mobile", mobile, verify(mobile, hashed, password), (isRight) => !isRight)
      )

      const checkChange: Passwords["Service"]["checkChange"] = Effect.fn("Passwords.checkChange")(function* (
        { mobile, userId },
        hashed,
        current,
        next
      ) {
        const isRight = current === undefined ? Effect.succeed(false) : verify(mobile, hashed, current)
        const isSame = current !== undefined && Redacted.value(current) === Redacted.value(next)
        if (!(yield* counted("user", userId, isRight, (right) => !right || isSame))) return yield* new CurrentPasswordInvalid()
        if (isSame) return yield* new SamePassword()
      })

      const checkDiffers: Passwords["Service"]["checkDiffers"] = Effect.fn("Passwords.checkDiffers")(function* (
        { mobile, userId },
        hashed,
        next
      ) {
        const isSame = yield* counted("user", userId, verify(mobile, hashed, next), (same) => same)
        if (isSame) return yield* new SamePassword()
      })

      return Passwords.of({ check, hash, guess, checkChange, checkDiffers })
    })
  )
}
