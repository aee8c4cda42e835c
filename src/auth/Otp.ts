import { randomInt } from "node:crypto"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { DeliveryFailed, OtpAttemptsExceeded, OtpCooldown, OtpInvalid, OtpSendLimited } from "../api/auth/AuthErrors.ts"
import { addressKey } from "../http/ClientAddress.ts"
import type { Purpose } from "./Code.ts"
import { CodeSender } from "./CodeSender.ts"
import { Keys } from "../keys/Keys.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { Throttle } from "./Throttle.ts"

/** Seconds a code lives, and seconds before another may be asked for. */
const lifetime = 300
const resendAfter = 30
/** Wrong guesses a code bears. */
const tries = 5

const cooldown = { limit: 1, period: Duration.seconds(resendAfter), refundable: true }
/** Codes that may be sent: to a number, from an address, and all together, which bounds what an attack can cost. */
const sendLimits = (mobile: string, from: string | null) => [
  { key: `otp-send:10min:${mobile}`, rate: { limit: 5, period: Duration.minutes(10) } },
  { key: `otp-send:day:${mobile}`, rate: { limit: 20, period: Duration.days(1) } },
  ...(from === null ? [] : [{ key: `otp-send:from:${from}`, rate: { limit: 30, period: Duration.hours(1) } }]),
  { key: "otp-send:all", rate: { limit: 3_000, period: Duration.minutes(10) } }
]
const openGuesses = { limit: tries, period: Duration.minutes(15) }

export interface Challenge {
  readonly challengeId: string
  readonly expiresIn: number
  readonly resendAfter: number
  /** The code itself, only when the mock delivery answers with it. */
  readonly otp?: string
}

/** One-time codes: six digits from a CSPRNG, their HMAC at rest, each evaluated at most five times and won at most once. */
export class Otp extends Context.Service<
  Otp,
  {
    readonly send: (
      mobile: Mobile,
      purpose: Purpose,
      address: string | null
    ) => Effect.Effect<Challenge, OtpCooldown | OtpSendLimited | DeliveryFailed>
    /** Uses the code up. Without `challengeId` the number's newest challenge is meant. */
    readonly verify: (guess: {
      readonly mobile: Mobile
      readonly purpose: Purpose
      readonly otp: string
      readonly challengeId?: string | undefined
    }) => Effect.Effect<void, OtpInvalid | OtpAttemptsExceeded>
  }
>()("chat-backend/auth/Otp") {
  static readonly layer = Layer.effect(
    Otp,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const keys = yield* Keys
      const throttle = yield* Throttle
      const sender = yield* CodeSender

      const bind = (mobile: Mobile, purpose: Purpose, otp: string) => `${purpose}\u0000${mobile}\u0000${otp}`
      const cooldownKey = (mobile: Mobile, purpose: Purpose) => `otp-cooldown:${purpose}:${mobile}`

      /** One of every allowance, or the refusal: of several that are used up the one that takes longest. */
      const takeTurn = Effect.fnUntraced(function* (mobile: Mobile, purpose: Purpose, address: string | null) {
        const cooling = { key: cooldownKey(mobile, purpose), rate: cooldown }
        const denied = yield* throttle.takeAll([cooling, ...sendLimits(mobile, addressKey(address))])
        if (denied.size === 0) return
        const retryAfter = Math.max(...denied.values())
        return yield* denied.get(cooling.key) === retryAfter
          ? new OtpCooldown({ retryAfter })
          : new OtpSendLimited({ retryAfter })
      })

      /**
       * As if the code had not been asked for: another may be at once, and the one before it is the newest again. Only
       * what limits the sends stays counted, so that a gateway in trouble is not called without end.
       */
      const takeBack = (mobile: Mobile, purpose: Purpose, challengeId: string) =>
        sql`delete from otp_challenges where id = ${challengeId}`.pipe(
          Effect.orDie,
          Effect.andThen(throttle.refund(cooldownKey(mobile, purpose), cooldown))
        )

      const send = Effect.fn("Otp.send")(function* (mobile: Mobile, purpose: Purpose, address: string | null) {
        yield* takeTurn(mobile, purpose, address)
        const challengeId = uuid()
        const otp = String(randomInt(1_000_000)).padStart(6, "0")
        const shown = yield* sql`
          insert into otp_challenges (id, mobile, purpose, code_mac, expires_at)
          values (${challengeId}, ${mobile}, ${purpose}, ${keys.mac("otp", bind(mobile, purpose, otp))},
            clock_timestamp() + make_interval(secs => ${lifetime}))
        `.pipe(
          Effect.orDie,
          Effect.andThen(sender.deliver({ mobile, otp, purpose, expiresIn: lifetime, challengeId })),
          Effect.onError(() => takeBack(mobile, purpose, challengeId))
        )
        return { challengeId, expiresIn: lifetime, resendAfter, ...(shown === undefined ? {} : { otp: shown }) }
      })

      const evaluate = Effect.fnUntraced(function* (guess: Parameters<Otp["Service"]["verify"]>[0]) {
        const { mobile, purpose } = guess
        const challenge = guess.challengeId ?? null
        const macs = keys.macs("otp", bind(mobile, purpose, guess.otp)).join(",")
        const [row] = yield* sql<{ ok: boolean }>`
          with guessed as (
            update otp_challenges set
              tries_bound = tries_bound + (${challenge}::uuid is not null)::int,
              tries_open = tries_open + (${challenge}::uuid is null)::int,
              consumed_at = case when code_mac = any (string_to_array(${macs}, ',')) then clock_timestamp() end
            where id = (
                select id from otp_challenges
                where mobile = ${mobile} and purpose = ${purpose} and (${challenge}::uuid is null or id = ${challenge}::uuid)
                  and consumed_at is null and expires_at > clock_timestamp()
                order by created_at desc limit 1
              )
              and consumed_at is null and expires_at > clock_timestamp()
              and (case when ${challenge}::uuid is null then tries_open else tries_bound end) < ${tries}
            returning created_at, consumed_at is not null as ok
          ), superseded as (
            -- Else the code before this one would be the newest again, and good without its challenge.
            update otp_challenges as o set consumed_at = clock_timestamp() from guessed
            where guessed.ok and o.mobile = ${mobile} and o.purpose = ${purpose} and o.consumed_at is null
              and o.created_at < guessed.created_at
          )
          select ok from guessed
        `
        return row?.ok
      }, Effect.orDie)

      /** Seconds until the challenge that took all its guesses is forgotten; 0 when there is none such. */
      const exhausted = Effect.fnUntraced(function* (guess: Parameters<Otp["Service"]["verify"]>[0]) {
        const challenge = guess.challengeId ?? null
        const [row] = yield* sql<{ wait: number }>`
          select ceil(extract(epoch from expires_at - clock_timestamp()))::float8 as wait from otp_challenges
          where mobile = ${guess.mobile} and purpose = ${guess.purpose} and (${challenge}::uuid is null or id = ${challenge}::uuid)
            and consumed_at is null and expires_at > clock_timestamp()
            and (case when ${challenge}::uuid is null then tries_open else tries_bound end) >= ${tries}
          order by created_at desc limit 1
        `
        return Math.max(0, row?.wait ?? 0)
      }, Effect.orDie)

      const verify: Otp["Service"]["verify"] = Effect.fn("Otp.verify")(function* (guess) {
        const openKey = `otp-guess:${guess.mobile}`
        if (guess.challengeId === undefined) {
          const wait = yield* throttle.peek(openKey, openGuesses)
          if (wait > 0) return yield* new OtpAttemptsExceeded({ retryAfter: wait })
        }
        const ok = yield* evaluate(guess)
        if (ok === true) return yield* throttle.reset(cooldownKey(guess.mobile, guess.purpose))
        if (ok === undefined) {
          const wait = yield* exhausted(guess)
          if (wait > 0) return yield* new OtpAttemptsExceeded({ retryAfter: wait })
        }
        if (guess.challengeId === undefined) yield* throttle.take(openKey, openGuesses)
        return yield* new OtpInvalid()
      })

      return Otp.of({ send, verify })
    })
  )
}
