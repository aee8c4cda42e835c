import { Clock, Context, Duration, Effect, Layer, type Redacted, Result } from "effect"
import { SqlClient } from "effect/sql"
import type { AuthEventKind } from "../api/account/UserExport.ts"
import type { ResetPassword } from "../api/auth/AuthBodies.ts"
import {
  CurrentPasswordInvalid,
  type OtpAttemptsExceeded,
  OtpInvalid,
  type PasswordsBusy,
  ReauthenticationRequired,
  type SamePassword,
  type TooManyAttempts,
  type WeakPassword
} from "../api/auth/AuthErrors.ts"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import { clientFingerprint, type Origin } from "../http/ClientAddress.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { AddressLimits } from "./AddressLimits.ts"
import { ApiKeys } from "./ApiKeys.ts"
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
      const apiKeys = yield* ApiKeys
      const addressLimits = yield* AddressLimits
      const events = yield* AuthEvents
      const otp = yield* Otp
      const passwords = yield* Passwords
      const sessions = yield* Sessions
      const sql = yield* SqlClient.SqlClient
      const users = yield* Users

      /**
       * Stores the password, records the change and ends sessions, all in one transaction. Fails when `replaced` is not
       * the stored hash any more, so that of two changes that verified the same password one wins.
       */
      const store = Effect.fnUntraced(function* (change: {
        readonly userId: UserId
        readonly hash: string
        readonly replaced?: string | null | undefined
        readonly event: Extract<AuthEventKind, "password_changed" | "password_reset">
        readonly ended: EndedSessions
        readonly origin: Origin
      }) {
        const { ended, event, hash, origin, replaced, userId } = change
        const work = Effect.gen(function* () {
          if (!(yield* users.setPassword(userId, hash, replaced))) return yield* new CurrentPasswordInvalid()
          yield* events.append(userId, event, origin)
          yield* sessions.revoke(userId, ended)
          // A stranger who had the account may have made keys.
          if (ended === "all") yield* apiKeys.removeAll(userId)
        })
        yield* sessions.change(userId, work)
      })

      const change: PasswordChanges["Service"]["change"] = Effect.fn("PasswordChanges.change")(
        function* (user, current, next, origin) {
          const { isRecovery, sessionId, userId } = user
          const replaced = yield* users.passwordHash(userId)
          const isFresh = (yield* Clock.currentTimeMillis) - user.loggedInAt.getTime() <= freshMillis
          if (!isRecovery && replaced !== null) yield* passwords.checkChange(user, replaced, current, next)
          else if (!isFresh) return yield* new ReauthenticationRequired()
          yield* passwords.check(next, user)
          if (isRecovery && replaced !== null) yield* passwords.checkDiffers(user, replaced, next)
          const hash = yield* passwords.hash(user.mobile, next)
          // A recovery session has served its purpose, so it ends, too.
          const ended = isRecovery ? "all" : { except: sessionId }
          yield* store({ userId, hash, replaced, event: "password_changed", ended, origin })
        }
      )

      /**
       * Uses the code up, unless the password contains the name or e-mail of the number's user: only the holder of the
       * code may learn that, and keeps the code. A wrong code stays counted.
       */
      const proveNumber = ({ newPassword, ...code }: typeof ResetPassword.Type, address: string | null) =>
        Effect.gen(function* () {
          const proof = yield* Effect.result(otp.verify({ ...code, purpose: "reset_password", address }))
          const known = Result.isSuccess(proof) ? yield* users.credentials(code.mobile) : undefined
          if (known !== undefined) yield* passwords.check(newPassword, known.user)
          return proof
        }).pipe(
          sql.withTransaction,
          retryConflicts(sql),
          Effect.catchTag("SqlError", Effect.die),
          Effect.flatMap(Effect.fromResult)
        )

      const setWithCode = Effect.fnUntraced(function* (request: typeof ResetPassword.Type, origin: Origin) {
        const { mobile, newPassword } = request
        yield* passwords.check(newPassword, { mobile })
        // Hashed before the code is used up: a server that is too busy to hash must not cost the user the code.
        const hash = yield* passwords.hash(mobile, newPassword)
        yield* proveNumber(request, origin.address)
        const { user } = yield* users.activate(mobile, clientFingerprint(origin))
        yield* store({ userId: user.id, hash, event: "password_reset", ended: "all", origin }).pipe(
          // The user was deleted in this moment.
          Effect.catchTag("CurrentPasswordInvalid", () => new OtpInvalid())
        )
      })

      const reset: PasswordChanges["Service"]["reset"] = Effect.fn("PasswordChanges.reset")((request, origin) =>
        addressLimits.guess("code", origin.address, setWithCode(request, origin), isWrong)
      )

      return PasswordChanges.of({ change, reset })
    })
  )
}
