import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { OtpAttemptsExceeded } from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { Keys } from "../keys/Keys.ts"
import { macInput, type Purpose } from "./Code.ts"
import { CodeAllowances, guessesADay } from "./CodeAllowances.ts"

/** Guesses of a code, and how many of them may come from others than the client that the code was sent for. */
export const tries = 5
export const triesOfOthers = 2

/** Whose challenge a guess is for: the one that the code was sent for, one that joined it, or none. */
type Role = "own" | "joined" | "open"

export interface Guess {
  readonly mobile: Mobile
  readonly purpose: Purpose
  readonly otp: string
  readonly challengeId?: string | undefined
  readonly address: string | null
}

/**
 * Evaluates guesses of codes. A guess counts for the one challenge that it means; at most two of a code's five guesses are
 * for other clients than the one that the code was sent for.
 */
export const makeCodeGuesses = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const allowances = yield* CodeAllowances
  const keys = yield* Keys

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

  /** Counts the guess, and uses the code up if it is right; undefined when no challenge takes it. */
  const evaluate = Effect.fnUntraced(function* (guess: Guess, isOpenAllowed: boolean) {
    const { mobile, purpose } = guess
    const macs = keys.macs("otp", macInput(mobile, purpose, guess.otp)).join(",")
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

  return { evaluate, refuse }
})
