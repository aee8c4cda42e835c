import { Clock, Context, Duration, Effect, Layer, type Redacted } from "effect"
import type { AuthEventKind } from "../api/account/UserExport.ts"
import type { ResetPassword } from "../api/auth/AuthBodies.ts"
import {
  CurrentPasswordInvalid,
  type OtpAttemptsExceeded,
  type OtpInvalid,
  type PasswordsBusy,
  ReauthenticationRequired,
  SamePassword,
  type TooManyAttempts,
  type WeakPassword
} from "../api/auth/AuthErrors.ts"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import { clientFingerprint, type Origin } from "../http/ClientAddress.ts"
import { AddressLimits } from "./AddressLimits.ts"
import { AuthEvents } from "./AuthEvents.ts"
import { Otp } from "./Otp.ts"
import { Passwords } from "./Passwords.ts"
import { type EndedSessions, Sessions } from "./Sessions.ts"
import { Users } from "./Users.ts"
import { isWrong } from "./WrongAttempts.ts"

/** How long after the login a first password can be set. Later, the user must log in again. */
const freshMillis = Duration.toMillis("10 minutes")

/** Setting and changing the password of a user. */
export class PasswordChanges extends Context.Service<
  PasswordChanges,
  {
    /** A first password needs a recent login, a recovery session needs nothing, any other change the current password. */
    readonly change: (
      user: CurrentSession,
      current: Redacted.Redacted | undefined,
      next: Redacted.Redacted,
      origin: Origin
    ) => Effect.Effect<
      void,
      CurrentPasswordInvalid | ReauthenticationRequired | SamePassword | WeakPassword | PasswordsBusy | TooManyAttempts
    >
    /** Sets a password with a code that was sent to the number. A weak password does not use the code up. */
    readonly reset: (
      reset: typeof ResetPassword.Type,
      origin: Origin
    ) => Effect.Effect<void, WeakPassword | OtpInvalid | OtpAttemptsExceeded | PasswordsBusy | TooManyAttempts>
  }
>()("chat-backend/auth/PasswordChanges") {
  static readonly layer = Layer.effect(
    PasswordChanges,
    Effect.gen(function* () {
      const addressLimits = yield* AddressLimits
      const events = yield* AuthEvents
      const otp = yield* Otp
      const passwords = yield* Passwords
      const sessions = yield* Sessions
      const users = yield* Users

      /** Stores the password, records the change and ends sessions, all in one transaction. */
      const store = Effect.fnUntraced(function* (
        userId: UserId,
        hash: string,
        event: Extract<AuthEventKind, "password_changed" | "password_reset">,
        ended: EndedSessions,
        origin: Origin
      ) {
        const work = [users.setPassword(userId, hash), events.append(userId, event, origin), sessions.revoke(userId, ended)]
        yield* sessions.change(userId, Effect.all(work, { discard: true }))
      })

      const checkCurrent = Effect.fnUntraced(function* (userId: UserId, current: Redacted.Redacted | undefined) {
        const hash = yield* users.passwordHash(userId)
        if (!(yield* passwords.guess(`user:${userId}`, hash, current))) return yield* new CurrentPasswordInvalid()
      })

      const change: PasswordChanges["Service"]["change"] = Effect.fn("PasswordChanges.change")(
        function* (user, current, next, origin) {
          const isFresh = (yield* Clock.currentTimeMillis) - user.loggedInAt.getTime() <= freshMillis
          if (!user.isRecovery && user.hasPassword) yield* checkCurrent(user.userId, current)
          else if (!isFresh) return yield* new ReauthenticationRequired()
          yield* passwords.check(next)
          if (user.hasPassword && (yield* passwords.verify(yield* users.passwordHash(user.userId), next))) {
            return yield* new SamePassword()
          }
          // A recovery session has served its purpose, so it ends, too.
          const ended = user.isRecovery ? "all" : { except: user.sessionId }
          yield* store(user.userId, yield* passwords.hash(next), "password_changed", ended, origin)
        }
      )

      const setWithCode = Effect.fnUntraced(function* ({ newPassword, ...code }: typeof ResetPassword.Type, origin: Origin) {
        yield* passwords.check(newPassword)
        // Hashed before the code is used up: a server that is too busy to hash must not cost the user the code.
        const hash = yield* passwords.hash(newPassword)
        yield* otp.verify({ ...code, purpose: "reset_password", address: origin.address })
        const { user } = yield* users.activate(code.mobile, clientFingerprint(origin))
        yield* store(user.id, hash, "password_reset", "all", origin)
      })

      const reset: PasswordChanges["Service"]["reset"] = Effect.fn("PasswordChanges.reset")((request, origin) =>
        addressLimits.guess("code", origin.address, setWithCode(request, origin), isWrong)
      )

      return PasswordChanges.of({ change, reset })
    })
  )
}
