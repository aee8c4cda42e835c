import { Clock, Context, Duration, Effect, Layer, Redacted } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { AuthEvents } from "./AuthEvents.ts"
import type { Origin } from "../http/ClientAddress.ts"
import type { AuthEventKind } from "../api/account/UserExport.ts"
import {
  CredentialsInvalid,
  CurrentPasswordInvalid,
  type OtpAttemptsExceeded,
  type OtpInvalid,
  PasswordLoginOff,
  type PasswordsBusy,
  ReauthenticationRequired,
  SamePassword,
  TooManyAttempts,
  type WeakPassword
} from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { Otp } from "./Otp.ts"
import { Passwords } from "./Passwords.ts"
import { Sessions } from "./Sessions.ts"
import { Throttle } from "./Throttle.ts"
import type { CurrentSession, SessionId, User, UserId } from "../api/auth/User.ts"
import { Users } from "./Users.ts"

/** A first password may be set within this time of the login; later a new login is asked for. */
const freshMillis = Duration.toMillis("10 minutes")
/** Wrong passwords, of a number or of a user. */
const guesses = { limit: 10, period: Duration.minutes(15), refundable: true }

export interface LoggedIn {
  readonly user: User
  readonly sessionId: SessionId
}

/** What a person does with a password. */
export class Accounts extends Context.Service<
  Accounts,
  {
    readonly changePassword: (
      user: CurrentSession,
      current: Redacted.Redacted | undefined,
      next: Redacted.Redacted,
      origin: Origin
    ) => Effect.Effect<
      void,
      CurrentPasswordInvalid | ReauthenticationRequired | SamePassword | WeakPassword | PasswordsBusy | TooManyAttempts
    >
    /** A new password for whoever has the number. A weak one uses no code up. */
    readonly resetPassword: (
      reset: { readonly mobile: Mobile; readonly otp: string; readonly challengeId?: string | undefined },
      next: Redacted.Redacted,
      client: string,
      origin: Origin
    ) => Effect.Effect<void, WeakPassword | OtpInvalid | OtpAttemptsExceeded | PasswordsBusy>
    readonly passwordLogin: (
      mobile: Mobile,
      password: Redacted.Redacted,
      origin: Origin
    ) => Effect.Effect<LoggedIn, CredentialsInvalid | PasswordLoginOff | PasswordsBusy | TooManyAttempts>
  }
>()("chat-backend/auth/Accounts") {
  static readonly layer = Layer.effect(
    Accounts,
    Effect.gen(function* () {
      const { passwordLogin: isLoginOn } = yield* AppConfig
      const events = yield* AuthEvents
      const otp = yield* Otp
      const passwords = yield* Passwords
      const sessions = yield* Sessions
      const throttle = yield* Throttle
      const users = yield* Users

      /** Counted before it is judged: many at once get no more guesses than one after the other. Only a wrong one stays counted. */
      const guess = Effect.fnUntraced(function* (key: string, judge: Effect.Effect<boolean, PasswordsBusy>) {
        const wait = yield* throttle.take(key, guesses)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        const isRight = yield* Effect.tapError(judge, () => throttle.refund(key, guesses))
        if (isRight) yield* throttle.refund(key, guesses)
        return isRight
      })

      /** The new password, the record of it and the end of sessions: all of it happens, or nothing. */
      const adopt = Effect.fnUntraced(function* (
        userId: UserId,
        hash: string,
        kind: AuthEventKind,
        origin: Origin,
        ended: Parameters<Sessions["Service"]["revoke"]>[1]
      ) {
        const work = [users.setPassword(userId, hash), events.append(userId, kind, origin), sessions.revoke(userId, ended)]
        yield* sessions.change(userId, Effect.all(work, { discard: true }))
      })

      const proveCurrent = Effect.fnUntraced(function* (user: CurrentSession, current: Redacted.Redacted | undefined) {
        const known = yield* users.passwordHash(user.userId)
        const judge = current === undefined ? Effect.succeed(false) : passwords.verify(known, current)
        if (!(yield* guess(`password:user:${user.userId}`, judge))) return yield* new CurrentPasswordInvalid()
      })

      const changePassword: Accounts["Service"]["changePassword"] = Effect.fn("Accounts.changePassword")(
        function* (user, current, next, origin) {
          const isFresh = (yield* Clock.currentTimeMillis) - user.loggedInAt.getTime() <= freshMillis
          if (!user.isRecovery && user.hasPassword) yield* proveCurrent(user, current)
          else if (!isFresh) return yield* new ReauthenticationRequired()
          yield* passwords.check(next)
          if (user.hasPassword && (yield* passwords.verify(yield* users.passwordHash(user.userId), next))) {
            return yield* new SamePassword()
          }
          // A recovery has done what it was for; any other session goes on alone.
          const ended = user.isRecovery ? "all" : { except: user.sessionId }
          yield* adopt(user.userId, yield* passwords.hash(next), "password_changed", origin, ended)
        }
      )

      const resetPassword: Accounts["Service"]["resetPassword"] = Effect.fn("Accounts.resetPassword")(
        function* (reset, next, client, origin) {
          yield* passwords.check(next)
          // Before the code is used up: a server that is too busy to hash must not cost the user the code.
          const hash = yield* passwords.hash(next)
          yield* otp.verify({ ...reset, purpose: "reset_password", address: origin.address })
          const { user } = yield* users.activate(reset.mobile, client)
          yield* adopt(user.id, hash, "password_reset", origin, "all")
        }
      )

      const passwordLogin: Accounts["Service"]["passwordLogin"] = Effect.fn("Accounts.passwordLogin")(
        function* (mobile, password, origin) {
          if (!isLoginOn) return yield* new PasswordLoginOff()
          const known = yield* users.credentials(mobile)
          const matches = yield* guess(`password:mobile:${mobile}`, passwords.verify(known?.passwordHash ?? null, password))
          if (!matches || known === undefined) return yield* new CredentialsInvalid()
          const sessionId = yield* sessions.start(known.user.id, origin.userAgent)
          yield* events.append(known.user.id, "password_login", origin, sessionId)
          return { user: known.user, sessionId }
        }
      )

      return Accounts.of({ changePassword, resetPassword, passwordLogin })
    })
  )
}
