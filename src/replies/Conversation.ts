import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { FileKind } from "../api/files/FileTypes.ts"
import type { GivenInput } from "../chat/GivenInput.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Models } from "../models/Models.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { beforeThem, type PromptSummary, summaryFor, withSummary } from "./PromptSummary.ts"
import { type AnsweredQuestion, fit, givenTurns, type SourcedTurn, tokensOf } from "./PromptTurns.ts"

/** Earlier questions of the branch that are looked at; enough to fill the budget, unless they are very short. */
const maximumEarlier = 200

interface Asked {
  readonly userId: string
  readonly chatroomId: string
  readonly questionId: string
  readonly systemPrompt: string | null
  /** Tokens that the prompt may have: system prompt, history and question together. */
  readonly contextTokens: number
  /** The model, which reads some kinds of files. */
  readonly model: string
}

interface ConversationRow extends AnsweredQuestion {
  /** Whether the room has its tree: one from before there were branches gets it now. */
  readonly isFilled: boolean
  /** Of the question, outside of chats. */
  readonly input: GivenInput | null
  /** Whether it is the first question of its branch. */
  readonly isFirst: boolean
  /** Of the newest row: whether the room is summarised (null: as the server's other rooms), and how far it is. */
  readonly summary: boolean | null
  readonly upTo: string | null
}

/** A question, and the exchanges before it, newest first. */
type Branch = readonly [ConversationRow, ...ReadonlyArray<ConversationRow>]

/** What is sent for a question. */
export interface Conversed {
  /** The turns that end in the question. */
  readonly turns: Array<SourcedTurn>
  /** The system instruction, with the summary at its end. */
  readonly systemPrompt: string | null
  readonly summary: PromptSummary | null
  /** Tokens of the exchanges that are left out and that no summary covers; 0 in a room that is not summarised. */
  readonly uncoveredTokens: number
}

/**
 * The question, and the exchanges before it on its branch, newest first: from each question by the primary key to the
 * reply that it follows, and to the question of that reply. One without an answer is left out. Texts are read only of
 * exchanges that the budget may hold: their sizes are known without.
 */
export const branchBefore = (
  sql: SqlClient.SqlClient,
  { chatroomId, contextTokens, questionId, userId }: Omit<Asked, "model">
) => sql`
  with recursive path as (
    select q.id as question_id, q.parent_id, null::uuid as answer_id, 0 as depth, 0::bigint as tokens
    from messages q where q.user_id = ${userId} and q.chatroom_id = ${chatroomId} and q.id = ${questionId} and q.role = 'user'
    union all
    select q.id, q.parent_id, case when r.status = 'completed' and octet_length(r.content) > 0 then r.id end, p.depth + 1,
      p.tokens + case when r.status = 'completed' then (octet_length(r.content) + octet_length(q.content)) / 4 else 0 end
    from path p
    join messages r on r.user_id = ${userId} and r.id = p.parent_id
    join messages q on q.user_id = ${userId} and q.id = r.reply_to
    where p.depth < ${maximumEarlier} and p.tokens <= ${contextTokens}
  )
  select q.id as question_id, q.content as question, r.id as answer_id, coalesce(r.content, '') as answer,
    case when q.attachments is not null then (
      select jsonb_agg(a || jsonb_build_object('deleted', f.id is null) order by position)
      from jsonb_array_elements(q.attachments) with ordinality as given (a, position)
      left join files f on f.user_id = q.user_id and f.id = (a ->> 'id')::uuid
    ) end as attachments, q.input,
    p.depth > 0 or c.head_id is not null as is_filled, p.parent_id is null as is_first, c.summary, s.upto_id as up_to
  from path p
  left join chatrooms c on p.depth = 0 and c.user_id = ${userId} and c.id = ${chatroomId}
  left join room_summaries s on p.depth = 0 and s.user_id = ${userId} and s.chatroom_id = ${chatroomId}
  join messages q on q.user_id = ${userId} and q.id = p.question_id
  left join messages r on r.user_id = ${userId} and r.id = p.answer_id
  where (p.depth = 0 or p.answer_id is not null) and p.tokens <= ${contextTokens}
  order by p.depth
`

/** Tokens of the exchanges that are left out, up to the summary's end: of those that were read, and of those before them. */
const uncoveredOf = (leftOut: ReadonlyArray<AnsweredQuestion>, upTo: string | null, before: number): number => {
  const end = leftOut.findIndex(({ answerId }) => answerId === upTo)
  const read = end === -1 ? leftOut : leftOut.slice(0, end)
  return read.reduce((sum, { answer, question }) => sum + estimateTokens(question) + estimateTokens(answer), before)
}

/** A room's history as the model receives it. */
export class Conversation extends Context.Service<
  Conversation,
  {
    /** What is sent for the question; no turns when it is gone. */
    readonly promptFor: (question: Asked) => Effect.Effect<Conversed>
  }
>()("chat-backend/replies/Conversation") {
  static readonly layer = Layer.effect(
    Conversation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const models = yield* Models
      const { roomSummaries } = yield* AppConfig

      /** The question and its branch. A room from before there were branches gets its tree first. */
      const branchOf = Effect.fnUntraced(function* (question: Asked) {
        const read = sql<ConversationRow>`${branchBefore(sql, question)}`
        const rows = yield* read
        if (rows[0]?.isFilled !== false) return rows
        yield* sql`select fill_branches(${question.userId}, ${question.chatroomId})`.pipe(retryConflicts(sql))
        return yield* read
      })

      /** The prompt with the room's summary, as far as there is one, in place of what the prompt leaves out. */
      const summarised = Effect.fnUntraced(function* (
        question: Asked,
        [asked, ...earlier]: Branch,
        plain: Conversed,
        kinds: ReadonlySet<FileKind>
      ) {
        const { contextTokens, systemPrompt } = question
        const { upTo } = asked
        const oldest = earlier.at(-1) ?? asked
        const isRead = earlier.some(({ answerId }) => answerId === upTo)
        const [found] = yield* beforeThem(sql, question, { from: isRead ? null : oldest.questionId, upTo })
        if (found === undefined) return plain
        const left = contextTokens - tokensOf(plain.turns.at(-1) ?? { text: "" }) - estimateTokens(systemPrompt ?? "")
        const summary = upTo !== null && (isRead || found.isReached) ? summaryFor(upTo, found, left) : null
        const instruction = withSummary(systemPrompt, summary)
        const turns = summary === null ? plain.turns : fit(asked, earlier, instruction, contextTokens, kinds)
        const leftOut = earlier.slice((turns.length - 1) / 2)
        const isCovered = isRead && !leftOut.some(({ answerId }) => answerId === upTo)
        const uncoveredTokens = isCovered ? 0 : uncoveredOf(leftOut, upTo, found.tokens)
        return { turns, systemPrompt: instruction, summary, uncoveredTokens }
      })

      const promptFor: Conversation["Service"]["promptFor"] = Effect.fn("Conversation.promptFor")(function* (question) {
        const { contextTokens, model, systemPrompt } = question
        const [asked, ...earlier] = yield* branchOf(question)
        const plain = (turns: Conversed["turns"]): Conversed => ({ turns, systemPrompt, summary: null, uncoveredTokens: 0 })
        if (asked === undefined) return plain([])
        const kinds = new Set(models.inputOf(model))
        if (asked.input !== null) return plain(givenTurns(asked, asked.input, kinds))
        const turns = fit(asked, earlier, systemPrompt, contextTokens, kinds)
        const isWhole = (earlier.at(-1) ?? asked).isFirst && turns.length > 2 * earlier.length
        if (isWhole || !(asked.summary ?? roomSummaries)) return plain(turns)
        return yield* summarised(question, [asked, ...earlier], plain(turns), kinds)
      }, Effect.orDie)

      return Conversation.of({ promptFor })
    })
  )
}
