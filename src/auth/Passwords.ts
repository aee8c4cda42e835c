import { hash as argonHash, verify as argonVerify } from "@node-rs/argon2"
import { dictionary } from "@zxcvbn-ts/language-common"
import { Context, Effect, Layer, Redacted, Semaphore } from "effect"
import { withoutSlot } from "../ops/RequestSlot.ts"
import { PasswordsBusy, WeakPassword } from "../api/auth/AuthErrors.ts"

/** OWASP's second choice for argon2id: 19 MiB, two passes, one lane. */
const argon2id = 2
const cost = { algorithm: argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 }
/** Hashes made at once, and requests that may wait for their turn. */
const atOnce = 2
const maximumWaiting = 32

const minimumLength = 8
const maximumLength = 128

/** NIST SP 800-63B: no rules of composition, but none that everybody tries first. */
const common: ReadonlySet<string> = new Set(dictionary["passwords-common"].filter((word) => word.length >= minimumLength))

/** Passwords at rest: argon2id, bounded in how many are worked on. */
export class Passwords extends Context.Service<
  Passwords,
  {
    readonly check: (password: Redacted.Redacted) => Effect.Effect<void, WeakPassword>
    readonly hash: (password: Redacted.Redacted) => Effect.Effect<string, PasswordsBusy>
    /** Without a hash it takes as long and fails, so that nobody learns which numbers have a password. */
    readonly verify: (hash: string | null, password: Redacted.Redacted) => Effect.Effect<boolean, PasswordsBusy>
  }
>()("chat-backend/auth/Passwords") {
  static readonly layer = Layer.effect(
    Passwords,
    Effect.gen(function* () {
      const turns = yield* Semaphore.make(atOnce)
      const nobody = yield* Effect.promise(() => argonHash(crypto.randomUUID(), cost))
      const busy = Effect.fail(new PasswordsBusy({ retryAfter: 2 }))
      let waiting = 0

      const inTurn = <A>(work: () => Promise<A>) =>
        Effect.suspend(() => {
          if (waiting >= maximumWaiting + atOnce) return busy
          waiting++
          // A thread cannot be called back: whoever hangs up keeps the turn until the work is done.
          const done = turns.withPermits(1)(Effect.uninterruptible(Effect.promise(work)))
          return withoutSlot(done, { onFull: busy }).pipe(Effect.ensuring(Effect.sync(() => void waiting--)))
        })

      return Passwords.of({
        check: (password) => {
          const text = Redacted.value(password)
          const length = [...text].length
          if (length < minimumLength || length > maximumLength) {
            return Effect.fail(new WeakPassword({ detail: `A password has ${minimumLength} to ${maximumLength} characters` }))
          }
          return common.has(text.toLowerCase())
            ? Effect.fail(new WeakPassword({ detail: "This password is among the first that anybody would try" }))
            : Effect.void
        },
        hash: (password) => inTurn(() => argonHash(Redacted.value(password), cost)),
        verify: (known, password) =>
          Effect.map(
            inTurn(() => argonVerify(known ?? nobody, Redacted.value(password))),
            (matches) => matches && known !== null
          )
      })
    })
  )
}
