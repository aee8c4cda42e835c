import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { OtpCooldown, OtpSendLimited } from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { AppConfig } from "../config/Settings.ts"
import { addressKey, networksOf } from "../http/ClientAddress.ts"
import type { Purpose } from "./Code.ts"
import { type Allowance, Throttle } from "./Throttle.ts"

/** Seconds before the same client may ask for another code. */
export const resendAfter = 30
/** Guesses of all codes of a number in a day, except for codes that were sent to familiar clients. */
export const guessesADay = 100

const cooldown = { limit: 1, period: Duration.seconds(resendAfter), refundable: true }
const ofClient = { tenMinutes: { limit: 5, period: Duration.minutes(10) }, day: { limit: 10, period: Duration.days(1) } }
/** Messages to a number, and further ones for familiar clients: those from which its user has logged in. */
const ofNumber = { day: { limit: 20, period: Duration.days(1) }, familiarDay: { limit: 10, period: Duration.days(1) } }
/** Messages to all numbers, which bounds what an attack can cost; a fifth is kept for numbers of active users. */
const ofAll = { any: { limit: 3_000, period: Duration.minutes(10) }, unknown: { limit: 2_400, period: Duration.minutes(10) } }
/** Codes that one client may ask for, for all numbers together. */
const codesAnHour = 30

/** A client that asks for a code. */
export interface Asker {
  readonly mobile: Mobile
  readonly purpose: Purpose
  readonly address: string | null
}

/**
 * `send`: a message may be sent. `join`: no message may be sent, because one was sent for another client just now or the
 * number's messages are used up; after `take`, the client may get a challenge for the number's live code.
 */
export type Permission =
  | { readonly kind: "send"; readonly isFamiliar: boolean }
  | {
      readonly kind: "join"
      readonly refusal: OtpCooldown | OtpSendLimited
      readonly take: Effect.Effect<void, OtpCooldown | OtpSendLimited>
    }

interface Facts {
  readonly isUser: boolean
  readonly addresses: ReadonlyArray<string>
  readonly guesses: number
  readonly pause: number
}

/** How many codes a client, a network, a number and all numbers together may get. */
export class CodeAllowances extends Context.Service<
  CodeAllowances,
  {
    readonly permit: (asker: Asker) => Effect.Effect<Permission, OtpCooldown | OtpSendLimited>
    /** Lets this client ask for the next code at once. */
    readonly endCooldown: (asker: Asker) => Effect.Effect<void>
    /** Lets all other clients ask for the number's next code at once. */
    readonly endSharedCooldown: (asker: Asker) => Effect.Effect<void>
  }
>()("chat-backend/auth/CodeAllowances") {
  static readonly layer = Layer.effect(
    CodeAllowances,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const throttle = yield* Throttle
      const { otpDelivery, otpWebhook } = yield* AppConfig
      // A code in the response reaches only the client that asked for it, so a joined challenge would be useless.
      const isInResponse = otpDelivery === "response" && otpWebhook === undefined

      const keyOf = ({ mobile, purpose }: Asker) => `otp-cooldown:${purpose}:${mobile}`
      /** The last part of the keys of one client. Clients with private addresses cannot be told apart: they have none. */
      const suffixOf = ({ address }: Asker) => {
        const client = addressKey(address)
        return client === null ? "" : `:${client}`
      }

      /** Allowances that no other client can use up. */
      const ofAsker = (asker: Asker): ReadonlyArray<Allowance> => {
        const { mobile } = asker
        const suffix = suffixOf(asker)
        const ofNetworks = networksOf(asker.address).map(({ factor, key }) => ({
          key: `otp-send:from:${key}`,
          rate: { limit: codesAnHour * factor, period: Duration.hours(1) }
        }))
        const tenMinutes = { key: `otp-send:10min:${mobile}${suffix}`, rate: ofClient.tenMinutes }
        if (suffix === "") return [tenMinutes, ...ofNetworks]
        return [
          { key: `${keyOf(asker)}${suffix}`, rate: cooldown },
          tenMinutes,
          { key: `otp-send:day:${mobile}${suffix}`, rate: ofClient.day },
          ...ofNetworks
        ]
      }

      const all = { key: "otp-send:all", rate: ofAll.any }
      /** Allowances of messages, which all clients share. */
      const ofMessages = (asker: Asker, isUser: boolean): ReadonlyArray<Allowance> => [
        ...(isInResponse && suffixOf(asker) !== "" ? [] : [{ key: keyOf(asker), rate: cooldown }]),
        { key: `otp-send:day:${asker.mobile}`, rate: ofNumber.day },
        ...(isUser ? [] : [{ key: "otp-send:unknown", rate: ofAll.unknown }]),
        all
      ]
      const ofFamiliarMessages = ({ mobile }: Asker): ReadonlyArray<Allowance> => [
        { key: `otp-send:familiar:${mobile}`, rate: ofNumber.familiarDay },
        all
      ]

      /** Of several allowances that are used up, the one that takes longest. */
      const refusalOf = (asker: Asker, denied: ReadonlyMap<string, number>) => {
        const retryAfter = Math.max(...denied.values())
        const isCooling = [keyOf(asker), `${keyOf(asker)}${suffixOf(asker)}`].some((key) => denied.get(key) === retryAfter)
        return isCooling ? new OtpCooldown({ retryAfter }) : new OtpSendLimited({ retryAfter })
      }

      /** One statement for known and unknown numbers, so that both take the same time. */
      const factsOf = Effect.fnUntraced(function* (mobile: Mobile) {
        const [row] = yield* sql<Facts>`
          select
            exists (select 1 from users where mobile = ${mobile} and status = 'active') as is_user,
            array(
              select e.address from users u join auth_events e on e.user_id = u.id
              where u.mobile = ${mobile} and u.status = 'active' and e.address is not null
                and e.kind in ('login', 'recovery', 'password_login') and e.at > now() - interval '90 days'
              order by e.id desc limit 50
            ) as addresses,
            coalesce(sum(tries_bound + tries_open), 0)::int as guesses,
            coalesce(ceil(extract(epoch from
              min(created_at) filter (where tries_bound + tries_open > 0) + interval '1 day' - clock_timestamp())), 0)::float8 as pause
          from otp_challenges where mobile = ${mobile} and created_at > now() - interval '1 day'
        `
        return row ?? (yield* Effect.die("an aggregate returned nothing"))
      }, Effect.orDie)

      /** Fails for a denial that this process remembers, so that a client that repeats its request costs no query. */
      const rejectRemembered = Effect.fnUntraced(function* (asker: Asker, allowances: ReadonlyArray<Allowance>) {
        const waits = yield* Effect.forEach(allowances, ({ key }) =>
          Effect.map(throttle.cachedWait(key), (wait) => [key, wait] as const)
        )
        const denied = new Map(waits.filter(([, wait]) => wait > 0))
        if (denied.size > 0) return yield* refusalOf(asker, denied)
      })

      const isFamiliarTo = (addresses: ReadonlyArray<string>, { address }: Asker) => {
        const client = addressKey(address)
        return client !== null && client !== "unknown" && addresses.some((known) => addressKey(known) === client)
      }

      const permit: CodeAllowances["Service"]["permit"] = Effect.fn("CodeAllowances.permit")(function* (asker) {
        const own = ofAsker(asker)
        yield* rejectRemembered(asker, own)
        const { addresses, guesses, isUser, pause } = yield* factsOf(asker.mobile)
        const isFamiliar = isFamiliarTo(addresses, asker)
        if (guesses >= guessesADay && !isFamiliar) return yield* new OtpSendLimited({ retryAfter: Math.max(1, pause) })
        const denied = yield* throttle.takeAll([...own, ...ofMessages(asker, isUser)])
        if (denied.size === 0) return { kind: "send", isFamiliar }
        const refusal = refusalOf(asker, denied)
        if (own.some(({ key }) => denied.has(key))) return yield* refusal
        if (isFamiliar) {
          const left = yield* throttle.takeAll([...own, ...ofFamiliarMessages(asker)])
          if (left.size === 0) return { kind: "send", isFamiliar }
        }
        if (isInResponse) return yield* refusal
        const take = Effect.flatMap(throttle.takeAll(own), (used) =>
          used.size === 0 ? Effect.void : Effect.fail(refusalOf(asker, used))
        )
        return { kind: "join", refusal, take }
      })

      const endCooldown: CodeAllowances["Service"]["endCooldown"] = (asker) => throttle.reset(`${keyOf(asker)}${suffixOf(asker)}`)
      const endSharedCooldown: CodeAllowances["Service"]["endSharedCooldown"] = (asker) => throttle.reset(keyOf(asker))

      return CodeAllowances.of({ permit, endCooldown, endSharedCooldown })
    })
  )
}
