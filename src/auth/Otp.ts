import { randomInt } from "node:crypto"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import {
  CountryUnsupported,
  DeliveryFailed,
  type OtpAttemptsExceeded,
  OtpCooldown,
  OtpInvalid,
  OtpSendLimited
} from "../api/auth/AuthErrors.ts"
import { regionOf } from "../api/auth/Mobile.ts"
import { AppConfig } from "../config/Settings.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { Keys } from "../keys/Keys.ts"
import { macInput } from "./Code.ts"
import { type Asker, CodeAllowances, type Permission, resendAfter } from "./CodeAllowances.ts"
import { type Guess, makeCodeGuesses, tries, triesOfOthers } from "./CodeGuesses.ts"
import { CodeSender } from "./CodeSender.ts"
import { Throttle } from "./Throttle.ts"

/** Seconds until a code expires. */
const lifetime = 300
/** Guesses of a number by clients that have asked for none of its codes and name no challenge. */
const openGuesses = { limit: 5, period: Duration.minutes(15) }

export interface Challenge {
  readonly challengeId: string
  readonly expiresIn: number
  readonly resendAfter: number
  /** The code itself, only with `OTP_DELIVERY=response`. */
  readonly otp?: string
}

/**
 * One-time codes: six random digits, stored as their HMAC, each used once at most. A code has five guesses. At most two of
 * them are for other clients than the one that the code was sent for, which therefore has at least three.
 */
export class Otp extends Context.Service<
  Otp,
  {
    readonly send: (asker: Asker) => Effect.Effect<Challenge, CountryUnsupported | OtpCooldown | OtpSendLimited | DeliveryFailed>
    /**
     * Uses the code up. Without `challengeId` the newest challenge of the client's address is meant, or else the number's
     * newest code.
     */
    readonly verify: (guess: Guess) => Effect.Effect<void, OtpInvalid | OtpAttemptsExceeded>
  }
>()("chat-backend/auth/Otp") {
  static readonly layer = Layer.effect(
    Otp,
    Effect.gen(function* () {
      const { otpCountries } = yield* AppConfig
      const sql = yield* SqlClient.SqlClient
      const allowances = yield* CodeAllowances
      const keys = yield* Keys
      const throttle = yield* Throttle
      const sender = yield* CodeSender
      const guesses = yield* makeCodeGuesses

      const endCooldowns = (asker: Asker) => Effect.andThen(allowances.endCooldown(asker), allowances.endSharedCooldown(asker))

      /**
       * Undoes a request whose code was not delivered: the next one is allowed at once, and the code before it is the newest
       * again. Only the allowances of messages stay used, so that a failing gateway is not called without end.
       */
      const takeBack = (asker: Asker, challengeId: string) =>
        sql`delete from otp_challenges where id = ${challengeId}`.pipe(Effect.orDie, Effect.andThen(endCooldowns(asker)))

      const sendNew = Effect.fnUntraced(function* (asker: Asker, isFamiliar: boolean) {
        const { mobile, purpose } = asker
        const challengeId = uuid()
        const otp = String(randomInt(1_000_000)).padStart(6, "0")
        const shown = yield* sql`
          insert into otp_challenges (id, mobile, purpose, code_mac, expires_at, client, is_familiar)
          values (${challengeId}, ${mobile}, ${purpose}, ${keys.mac("otp", macInput(mobile, purpose, otp))},
            clock_timestamp() + make_interval(secs => ${lifetime}), ${addressKey(asker.address)}, ${isFamiliar})
        `.pipe(
          Effect.orDie,
          Effect.andThen(sender.deliver({ mobile, otp, purpose, expiresIn: lifetime, challengeId })),
          Effect.onError(() => takeBack(asker, challengeId))
        )
        return { challengeId, expiresIn: lifetime, resendAfter, ...(shown === undefined ? {} : { otp: shown }) }
      })

      /** A challenge of the client's own for the number's newest code, which another client asked for. */
      const join = Effect.fnUntraced(function* (asker: Asker, permission: Permission & { kind: "join" }) {
        const client = addressKey(asker.address)
        const [code] = yield* sql<{ id: string; wait: number }>`
          select id, floor(extract(epoch from expires_at - clock_timestamp()))::float8 as wait from (
            select * from otp_challenges
            where mobile = ${asker.mobile} and purpose = ${asker.purpose} and consumed_at is null
              and expires_at > clock_timestamp() + interval '1 second'
            order by created_at desc limit 1
          ) newest
          where client is distinct from ${client} and tries_open < ${triesOfOthers} and tries_bound + tries_open < ${tries}
        `.pipe(Effect.orDie)
        if (code === undefined) return yield* permission.refusal
        yield* permission.take
        const challengeId = uuid()
        yield* sql`
          insert into otp_joined_challenges (id, code_id, client)
          select ${challengeId}::uuid, id, ${client} from otp_challenges where id = ${code.id} for key share
        `.pipe(Effect.orDie)
        return { challengeId, expiresIn: code.wait, resendAfter }
      })

      const send: Otp["Service"]["send"] = Effect.fn("Otp.send")(function* (asker) {
        const region = regionOf(asker.mobile)
        if (otpCountries !== undefined && (region === undefined || !otpCountries.has(region)))
          return yield* new CountryUnsupported()
        const permission = yield* allowances.permit(asker)
        return yield* permission.kind === "send" ? sendNew(asker, permission.isFamiliar) : join(asker, permission)
      })

      const verify: Otp["Service"]["verify"] = Effect.fn("Otp.verify")(function* (guess) {
        const openKey = `otp-guess:${guess.mobile}`
        const wait = guess.challengeId === undefined ? yield* throttle.peek(openKey, openGuesses) : 0
        const judged = yield* guesses.evaluate(guess, wait === 0)
        if (judged?.ok === true) return yield* endCooldowns(guess)
        const role = judged === undefined ? yield* guesses.refuse(guess, wait) : judged.role
        // Other clients cannot use this code any more: the next one that asks may be sent another.
        if (judged?.isUsedUp === true) yield* allowances.endSharedCooldown(guess)
        if (role === "open") yield* throttle.take(openKey, openGuesses)
        return yield* new OtpInvalid()
      })

      return Otp.of({ send, verify })
    })
  )
}
