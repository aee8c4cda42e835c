import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v4 as uuid } from "uuid"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"

/** Jobs without a summary after which the room rests, and for how long. */
const maximumTries = 3
const rest = "1 day"
/** A job ends within this time; that of a process that was killed holds the room as long. */
const claimLifetime = "4 minutes"
/** The oldest exchanges that are looked at for one summary. */
const maximumExchanges = 2_000
/** Characters of the beginning and the end of a text that is longer than both. */
const kept = { beginning: 20_000, end: 4_000 }

/** A room that a job summarises. */
interface Room {
  readonly userId: string
  readonly roomId: string
}

/** The summary that there is; nulls without. */
export interface SummaryClaim extends Room {
  readonly claim: string
  readonly upTo: string | null
  readonly firstId: string | null
  readonly text: string | null
}

/** An exchange that a prompt left out. */
export interface LeftOut {
  readonly questionId: string
  readonly answerId: string
  readonly tokens: number
  /** Whether the summary that there is ends before it: else it covers another branch. */
  readonly follows: boolean
  /** Tokens of all of them. */
  readonly total: number
}

export interface ExchangeTexts {
  readonly question: string
  readonly answer: string
  readonly files: ReadonlyArray<string>
}

export interface NewSummary {
  readonly upTo: string
  readonly firstId: string
  readonly text: string
  readonly tokens: number
  readonly model: string
}

/** The state of rooms' summaries. A job claims the room, and stores only under its claim. */
export class SummaryStore extends Context.Service<
  SummaryStore,
  {
    /** Counts a try; nothing when another job has the room, when it rests, or when it is not summarised. */
    readonly claim: (room: Room) => Effect.Effect<SummaryClaim | undefined>
    /** What the prompt of the reply left out and the summary does not cover, oldest first. */
    readonly leftOut: (claim: SummaryClaim, replyId: string) => Effect.Effect<ReadonlyArray<LeftOut>>
    readonly textsOf: (claim: SummaryClaim, exchanges: ReadonlyArray<LeftOut>) => Effect.Effect<ReadonlyArray<ExchangeTexts>>
    /** Whether it was stored: not when the claim is lost, because a message or the summary was deleted meanwhile. */
    readonly store: (claim: SummaryClaim, summary: NewSummary) => Effect.Effect<boolean>
    /** Ends a claim without a summary. After three that count, the room rests for a day. */
    readonly release: (claim: SummaryClaim, counts: boolean) => Effect.Effect<void>
  }
>()("chat-backend/replies/SummaryStore") {
  static readonly layer = Layer.effect(
    SummaryStore,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { roomSummaries } = yield* AppConfig

      const claim: SummaryStore["Service"]["claim"] = Effect.fn("SummaryStore.claim")(function* ({ roomId, userId }) {
        const [row] = yield* sql<SummaryClaim>`
          insert into room_summaries as s (user_id, chatroom_id, claim, tries, rests_until)
          select c.user_id, c.id, ${uuid()}::uuid, 1, clock_timestamp() + ${claimLifetime}::text::interval
          from chatrooms c
          where c.user_id = ${userId} and c.id = ${roomId} and coalesce(c.summary, ${roomSummaries}::boolean)
          for key share of c
          on conflict (user_id, chatroom_id) do update set claim = excluded.claim,
            tries = s.tries % ${maximumTries}::int + 1,
            rests_until = clock_timestamp()
              + case s.tries when ${maximumTries - 1}::int then ${rest}::text::interval else ${claimLifetime}::text::interval end
          where s.rests_until is null or s.rests_until <= clock_timestamp()
          returning user_id, chatroom_id as room_id, claim, upto_id as up_to, first_id, body as text
        `.pipe(retryConflicts(sql), Effect.orDie)
        return row
      })

      const leftOut: SummaryStore["Service"]["leftOut"] = Effect.fn("SummaryStore.leftOut")(function* (
        { roomId, upTo, userId },
        replyId
      ) {
        return yield* sql<LeftOut>`
          with recursive reply as (
            select m.reply_to, m.context_ids from messages m
            where m.user_id = ${userId} and m.chatroom_id = ${roomId} and m.id = ${replyId} and m.status = 'completed'
          ), path as (
            select q.parent_id, null::uuid as question_id, null::uuid as answer_id, 0 as depth, false as is_end
            from reply join messages q on q.user_id = ${userId} and q.id = reply.reply_to
            union all
            select q.parent_id, q.id, r.id, p.depth + 1, coalesce(r.id = ${upTo}::uuid, false)
            from path p
            join messages r on r.user_id = ${userId} and r.id = p.parent_id
            join messages q on q.user_id = ${userId} and q.id = r.reply_to
            where not p.is_end
          ), left_out as (
            select p.question_id, p.answer_id, p.depth, ((octet_length(q.content) + octet_length(r.content)) / 4)::int as tokens
            from path p
            join messages q on q.user_id = ${userId} and q.id = p.question_id
            join messages r on r.user_id = ${userId} and r.id = p.answer_id
            where not p.is_end and r.status = 'completed' and octet_length(r.content) > 0
              and not exists (select from reply where p.answer_id = any(reply.context_ids))
          )
          select l.question_id, l.answer_id, l.tokens, exists (select from path where is_end) as follows,
            (sum(l.tokens) over ())::float8 as total
          from left_out l order by l.depth desc limit ${maximumExchanges}
        `
      }, Effect.orDie)

      const cut = (column: string) => {
        const { beginning, end } = kept
        const parts = `left(${column}, ${beginning}) || ' […] ' || right(${column}, ${end})`
        return sql.literal(`case when char_length(${column}) > ${beginning + end} then ${parts} else ${column} end`)
      }

      const textsOf: SummaryStore["Service"]["textsOf"] = Effect.fn("SummaryStore.textsOf")(function* ({ userId }, exchanges) {
        const ids = exchanges.map(({ answerId, questionId }) => ({ question: questionId, answer: answerId }))
        return yield* sql<ExchangeTexts>`
          select ${cut("q.content")} as question, ${cut("r.content")} as answer,
            coalesce((select json_agg(a ->> 'name') from jsonb_array_elements(q.attachments) a), '[]') as files
          from rows from (json_to_recordset(${JSON.stringify(ids)}::text::json) as (question uuid, answer uuid))
            with ordinality as e (question, answer, position)
          join messages q on q.user_id = ${userId} and q.id = e.question
          join messages r on r.user_id = ${userId} and r.id = e.answer
          order by e.position
        `
      }, Effect.orDie)

      const store: SummaryStore["Service"]["store"] = Effect.fn("SummaryStore.store")(function* (held, summary) {
        const rows = yield* sql`
          update room_summaries set upto_id = ${summary.upTo}, first_id = ${summary.firstId}, body = ${summary.text},
            tokens = ${summary.tokens}, model = ${summary.model}, created_at = date_trunc('milliseconds', clock_timestamp()),
            claim = null, tries = 0, rests_until = null
          where user_id = ${held.userId} and chatroom_id = ${held.roomId} and claim = ${held.claim} returning 1
        `
        return rows.length > 0
      }, Effect.orDie)

      const release: SummaryStore["Service"]["release"] = Effect.fn("SummaryStore.release")(function* (held, counts) {
        yield* counts
          ? sql`
            update room_summaries set claim = null, rests_until = case when tries >= ${maximumTries} then rests_until end
            where user_id = ${held.userId} and chatroom_id = ${held.roomId} and claim = ${held.claim}
          `
          : sql`
            update room_summaries set claim = null, rests_until = null, tries = tries - 1
            where user_id = ${held.userId} and chatroom_id = ${held.roomId} and claim = ${held.claim}
          `
      }, Effect.orDie)

      return SummaryStore.of({ claim, leftOut, textsOf, store, release })
    })
  )
}
