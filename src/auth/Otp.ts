import { randomInt } from "node:crypto"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import {
  CountryUnsupported,
  DeliveryFailed,
  OtpAttemptsExceeded,
  OtpCooldown,
  OtpInvalid,
  OtpSendLimited
} from "../api/auth/AuthErrors.ts"
import { type Mobile, regionOf } from "../api/auth/Mobile.ts"
import { AppConfig } from "../config/Settings.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { Keys } from "../keys/Keys.ts"
import type { Purpose } from "./Code.ts"
import { type Asker, CodeAllowances, guessesADay, type Permission, resendAfter } from "./CodeAllowances.ts"
import { CodeSender } from "./CodeSender.ts"
import { Throttle } from "./Throttle.ts"

/** Seconds until a code expires. */
const lifetime = 300
/** Guesses of a code, and how many of them may come from others than the client that the code was sent for. */
const tries = 5
const triesOfOthers = 2
/** Guesses of a number by clients that have asked for none of its codes and name no challenge. */
const openGuesses = { limit: 5, period: Duration.minutes(15) }

/** Whose challenge a guess is for: the one that the code was sent for, one that joined it, or none. */
type Role = "own" | "joined" | "open"

export interface Challenge {
  readonly challengeId: string
  readonly expiresIn: number
  readonly resendAfter: number
  /** The code itself, only with `OTP_DELIVERY=response`. */
  readonly otp?: string
}

export interface Guess {
  readonly mobile: Mobile
  readonly purpose: Purpose
  readonly otp: string
  readonly challengeId?: string | undefined
  readonly address: string | null
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

      const bind = (mobile: Mobile, purpose: Purpose, otp: string) => `${purpose}\u0000${mobile}\u0000${otp}`

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
          values (${challengeId}, ${mobile}, ${purpose}, ${keys.mac("otp", bind(mobile, purpose, otp))},
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

      /**
       * The one challenge that is meant, as `meant (code, role)`: `own` when the code was sent for this client,
       * `joined` when the challenge is another client's, `open` for the number's newest code otherwise.
       */
      const meantBy = ({ address, mobile, purpose, ...guess }: Guess) => {
        const challengeId = guess.challengeId ?? null
        const client = addressKey(address)
        const isNamed = (id: string, from: string) => sql`case when ${challengeId}::uuid is not null
          then ${sql.literal(id)} = ${challengeId}::uuid else ${sql.literal(from)} = ${client} end`
        return sql`live as (
            select id, client, created_at from otp_challenges
            where mobile = ${mobile} and purpose = ${purpose} and consumed_at is null and expires_at > clock_timestamp()
          ), meant as (
            select code, role from (
              select id as code, 'own' as role, created_at as since from live where ${isNamed("id", "client")}
              union all
              select live.id, 'joined', j.created_at from live join otp_joined_challenges j on j.code_id = live.id
                where ${isNamed("j.id", "j.client")}
              union all
              select id, 'open', created_at from live where ${challengeId}::uuid is null
            ) any_of order by role = 'open', since desc limit 1
          )`
      }

      /**
       * Whether the challenge that is meant has guesses left, in a statement that joins `otp_challenges c` and `meant`.
       * Clients with private addresses cannot be told apart: without a challenge they are the client that the code was sent
       * for.
       */
      const hasTries = (client: string | null) => sql`tries_bound + tries_open < ${tries} and (meant.role = 'own'
        or tries_open < ${triesOfOthers} or (meant.role = 'open' and c.client is null and ${client}::text is null))`

      const evaluate = Effect.fnUntraced(function* (guess: Guess, isOpenAllowed: boolean) {
        const { mobile, purpose } = guess
        const macs = keys.macs("otp", bind(mobile, purpose, guess.otp)).join(",")
        const [row] = yield* sql<{ ok: boolean; role: Role; isUsedUp: boolean }>`
          with ${meantBy(guess)}, today as (
            select coalesce(sum(tries_bound + tries_open), 0) as guesses from otp_challenges
            where mobile = ${mobile} and created_at > now() - interval '1 day'
          ), guessed as (
            update otp_challenges c set
              tries_bound = tries_bound + (meant.role = 'own')::int,
              tries_open = tries_open + (meant.role <> 'own')::int,
              consumed_at = case when code_mac = any (string_to_array(${macs}, ',')) then clock_timestamp() end
            from meant, today
            where c.id = meant.code and consumed_at is null and expires_at > clock_timestamp() and ${hasTries(addressKey(guess.address))}
              and (meant.role <> 'open' or ${isOpenAllowed})
              and (today.guesses < ${guessesADay} or meant.role = 'own' and c.is_familiar)
            returning created_at, consumed_at is not null as ok, meant.role,
              tries_open >= ${triesOfOthers} or tries_bound + tries_open >= ${tries} as is_used_up
          ), superseded as (
            -- Otherwise the code before this one would be the newest again, and valid without its challenge.
            update otp_challenges as o set consumed_at = clock_timestamp() from guessed
            where guessed.ok and o.mobile = ${mobile} and o.purpose = ${purpose} and o.consumed_at is null
              and o.created_at < guessed.created_at
          )
          select ok, role, is_used_up from guessed
        `
        return row
      }, Effect.orDie)

      /** After a guess that was not evaluated: fails when its challenge has no guesses left, else there is no such challenge. */
      const refuse = Effect.fnUntraced(function* (guess: Guess, openWait: number) {
        const [meant] = yield* sql<{ wait: number; role: Role }>`
          with ${meantBy(guess)}
          select greatest(1, ceil(extract(epoch from expires_at - clock_timestamp())))::float8 as wait, meant.role
          from otp_challenges c join meant on c.id = meant.code
        `.pipe(Effect.orDie)
        // Other clients may have used these guesses up: this one may ask for a code of its own at once.
        if (meant?.role === "joined") yield* allowances.endCooldown(guess)
        const wait = openWait > 0 && meant?.role !== "own" && meant?.role !== "joined" ? openWait : meant?.wait
        if (wait !== undefined) return yield* new OtpAttemptsExceeded({ retryAfter: wait })
        return guess.challengeId === undefined ? "open" : "own"
      })

      const verify: Otp["Service"]["verify"] = Effect.fn("Otp.verify")(function* (guess) {
        const openKey = `otp-guess:${guess.mobile}`
        const wait = guess.challengeId === undefined ? yield* throttle.peek(openKey, openGuesses) : 0
        const judged = yield* evaluate(guess, wait === 0)
        if (judged?.ok === true) return yield* endCooldowns(guess)
        const role = judged === undefined ? yield* refuse(guess, wait) : judged.role
        // Other clients cannot use this code any more: the next one that asks may be sent another.
        if (judged?.isUsedUp === true) yield* allowances.endSharedCooldown(guess)
        if (role === "open") yield* throttle.take(openKey, openGuesses)
        return yield* new OtpInvalid()
      })

      return Otp.of({ send, verify })
    })
  )
}
