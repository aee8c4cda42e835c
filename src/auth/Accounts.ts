import { Context, Duration, Effect, Layer, type Redacted } from "effect"
import type { AuthEventKind } from "../api/account/UserExport.ts"
import type { Login, Logout, NewUser, SignedUp, Tokens as TokenPair, VerifyOtp } from "../api/auth/AuthBodies.ts"
import {
  CredentialsInvalid,
  type OtpAttemptsExceeded,
  type OtpInvalid,
  PasswordLoginOff,
  type PasswordsBusy,
  type PhoneTaken,
  RefreshInvalid,
  type RefreshReused,
  SessionNotFound,
  TooManyAttempts,
  type WeakPassword
} from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import type { CurrentSession, SessionId, User, UserId } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import { clientFingerprint, type Origin } from "../http/ClientAddress.ts"
import { AddressLimits } from "./AddressLimits.ts"
import { AuthEvents } from "./AuthEvents.ts"
import { Otp } from "./Otp.ts"
import { Passwords } from "./Passwords.ts"
import { recoverySeconds, Sessions } from "./Sessions.ts"
import { SignupTokens } from "./SignupTokens.ts"
import { Throttle } from "./Throttle.ts"
import { Tokens } from "./Tokens.ts"
import { Users } from "./Users.ts"
import { isWrong } from "./WrongAttempts.ts"

/** Logins of a user with the right password: each starts a session and records an event. */
const passwordLogins = { limit: 60, period: Duration.hours(1) }

/** A response with tokens, whose refresh token may go into a cookie instead. */
type Issued<Body> = Body & {
  readonly refreshToken: string
  /** Seconds until the session ends if it is not used. */
  readonly sessionSeconds: number
}

/** Signing up, logging in and logging out. */
export class Accounts extends Context.Service<
  Accounts,
  {
    readonly signUp: (
      user: typeof NewUser.Type,
      origin: Origin
    ) => Effect.Effect<typeof SignedUp.Type, PhoneTaken | WeakPassword | PasswordsBusy | TooManyAttempts>
    /** Logs in with a one-time code. With the purpose `reset_password` the session is a recovery. */
    readonly verifyOtp: (
      code: typeof VerifyOtp.Type,
      origin: Origin
    ) => Effect.Effect<Issued<typeof Login.Type>, OtpInvalid | OtpAttemptsExceeded | TooManyAttempts>
    readonly passwordLogin: (
      mobile: Mobile,
      password: Redacted.Redacted,
      origin: Origin
    ) => Effect.Effect<Issued<typeof Login.Type>, CredentialsInvalid | PasswordLoginOff | PasswordsBusy | TooManyAttempts>
    readonly refresh: (
      refreshToken: string,
      origin: Origin
    ) => Effect.Effect<Issued<typeof TokenPair.Type>, RefreshInvalid | RefreshReused>
    readonly logout: (
      session: CurrentSession,
      scope: NonNullable<(typeof Logout.Type)["scope"]>,
      origin: Origin
    ) => Effect.Effect<void>
    /** Ends one session of the user. */
    readonly revokeSession: (userId: UserId, sessionId: SessionId, origin: Origin) => Effect.Effect<void, SessionNotFound>
  }
>()("chat-backend/auth/Accounts") {
  static readonly layer = Layer.effect(
    Accounts,
    Effect.gen(function* () {
      const { passwordLogin: isPasswordLoginOn } = yield* AppConfig
      const addressLimits = yield* AddressLimits
      const events = yield* AuthEvents
      const otp = yield* Otp
      const passwords = yield* Passwords
      const sessions = yield* Sessions
      const signupTokens = yield* SignupTokens
      const throttle = yield* Throttle
      const tokens = yield* Tokens
      const users = yield* Users

      const issue = Effect.fnUntraced(function* (
        userId: UserId,
        session: { readonly id: SessionId; readonly counter: number; readonly seconds: number },
        expiresIn: number
      ) {
        return {
          token: yield* tokens.sign(userId, session.id, expiresIn),
          tokenType: "Bearer" as const,
          expiresIn,
          refreshToken: tokens.refreshToken(userId, session.id, session.counter),
          sessionSeconds: session.seconds
        }
      })

      /** Starts a session of the user, records it and issues its first tokens. */
      const startSession = Effect.fnUntraced(function* (
        user: User,
        event: Extract<AuthEventKind, "login" | "recovery" | "password_login">,
        origin: Origin
      ) {
        const isRecovery = event === "recovery"
        const session = yield* sessions.start(user.id, origin, isRecovery)
        yield* events.append(user.id, event, origin, session.id)
        // A token must not claim to outlive its session.
        return yield* issue(user.id, { ...session, counter: 0 }, isRecovery ? Math.min(tokens.ttl, recoverySeconds) : tokens.ttl)
      })

      const signUp: Accounts["Service"]["signUp"] = Effect.fn("Accounts.signUp")(function* (
        { email = null, mobile, name = null, password },
        origin
      ) {
        yield* addressLimits.signUp(origin.address)
        if (password !== undefined) yield* passwords.check(password, { mobile, name, email })
        const passwordHash = password === undefined ? null : yield* passwords.hash(mobile, password)
        const user = yield* users.signUp({ mobile, name, email, client: clientFingerprint(origin) })
        return { user, signupToken: yield* signupTokens.make(mobile, { name, email, passwordHash }) }
      })

      const verifyOtp: Accounts["Service"]["verifyOtp"] = Effect.fn("Accounts.verifyOtp")(function* (
        { purpose = "login", signupToken, ...code },
        origin
      ) {
        yield* addressLimits.guess("code", origin.address, otp.verify({ ...code, purpose, address: origin.address }), isWrong)
        const details = signupToken === undefined ? undefined : yield* signupTokens.read(code.mobile, signupToken)
        const { isNew, user } = yield* users.activate(code.mobile, clientFingerprint(origin), details)
        const issued = yield* startSession(user, purpose === "login" ? "login" : "recovery", origin)
        return { ...issued, isNewUser: isNew, user }
      })

      const checkCredentials = Effect.fnUntraced(function* (mobile: Mobile, password: Redacted.Redacted) {
        if (!isPasswordLoginOn) return yield* new PasswordLoginOff()
        const credentials = yield* users.credentials(mobile)
        const isRight = yield* passwords.guess(mobile, credentials?.passwordHash ?? null, password)
        if (!isRight || credentials === undefined) return yield* new CredentialsInvalid()
        const wait = yield* throttle.take(`password-login:${credentials.user.id}`, passwordLogins)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        return credentials.user
      })

      const passwordLogin: Accounts["Service"]["passwordLogin"] = Effect.fn("Accounts.passwordLogin")(
        function* (mobile, password, origin) {
          const user = yield* addressLimits.guess("password", origin.address, checkCredentials(mobile, password), isWrong)
          return { ...(yield* startSession(user, "password_login", origin)), isNewUser: false, user }
        }
      )

      const refresh: Accounts["Service"]["refresh"] = Effect.fn("Accounts.refresh")(function* (refreshToken, origin) {
        const claims = tokens.readRefreshToken(refreshToken)
        if (claims === undefined) return yield* new RefreshInvalid()
        const { counter, sessionId, userId } = claims
        const next = yield* sessions
          .refresh(userId, sessionId, counter)
          .pipe(Effect.tapErrorTag("RefreshReused", () => events.append(userId, "refresh_reused", origin, sessionId)))
        return yield* issue(userId, { ...next, id: sessionId }, tokens.ttl)
      })

      const logout: Accounts["Service"]["logout"] = Effect.fn("Accounts.logout")(function* (
        { sessionId, userId },
        scope,
        origin
      ) {
        const ended = { local: { only: sessionId }, others: { except: sessionId }, global: "all" as const }
        const count = yield* sessions.revoke(userId, ended[scope])
        // Without others there is nothing to record, so the events of a user are bounded by the logins.
        if (count > 0) yield* events.append(userId, "logout", origin, sessionId)
      })

      const revokeSession: Accounts["Service"]["revokeSession"] = Effect.fn("Accounts.revokeSession")(
        function* (userId, sessionId, origin) {
          const ended = yield* sessions.revoke(userId, { only: sessionId })
          if (ended === 0) return yield* new SessionNotFound()
          yield* events.append(userId, "session_revoked", origin, sessionId)
        }
      )

      return Accounts.of({ signUp, verifyOtp, passwordLogin, refresh, logout, revokeSession })
    })
  )
}
