import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { retryConflicts } from "../database/Transactions.ts"
import type { Turn } from "../gemini/Gemini.ts"

/** A turn with the message it comes from. */
export interface SourcedTurn extends Turn {
  readonly messageId: string
}

/** Earlier questions of the branch that are looked at; enough to fill the budget, unless they are very short. */
const maximumEarlier = 200

/** About one token for four bytes of UTF-8: accurate enough to fit a budget, and needs no call to the model. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 4)
export const estimateTokens = (text: string): number => tokensOfBytes(Buffer.byteLength(text))

export interface AnsweredQuestion {
  readonly questionId: string
  readonly question: string
  readonly answerId: string
  readonly answer: string
}

/**
 * The turns to send: the question, preceded by the newest earlier questions with their answers, as many as the budget
 * holds. Unanswered questions are left out, so the roles always alternate.
 */
export const fit = (
  asked: Pick<AnsweredQuestion, "questionId" | "question">,
  earlierNewestFirst: ReadonlyArray<AnsweredQuestion>,
  systemPrompt: string | null,
  contextTokens: number
): Array<SourcedTurn> => {
  let left = contextTokens - estimateTokens(asked.question) - estimateTokens(systemPrompt ?? "")
  const turns: Array<SourcedTurn> = [{ role: "user", text: asked.question, messageId: asked.questionId }]
  for (const { answer, answerId, question, questionId } of earlierNewestFirst) {
    left -= estimateTokens(question) + estimateTokens(answer)
    if (left < 0) break
    turns.unshift({ role: "user", text: question, messageId: questionId }, { role: "model", text: answer, messageId: answerId })
  }
  return turns
}

interface Asked {
  readonly userId: string
  readonly chatroomId: string
  readonly questionId: string
  readonly systemPrompt: string | null
  /** Tokens that the prompt may have: system prompt, history and question together. */
  readonly contextTokens: number
}

interface ConversationRow extends AnsweredQuestion {
  /** Whether the room has its tree: one from before there were branches gets it now. */
  readonly isFilled: boolean
}

/**
 * The question, and the exchanges before it on its branch, newest first: from each question by the primary key to the
 * reply that it follows, and to the question of that reply. One without an answer is left out. Texts are read only of
 * exchanges that the budget may hold: their sizes are known without.
 */
export const branchBefore = (sql: SqlClient.SqlClient, { chatroomId, contextTokens, questionId, userId }: Asked) => sql`
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
    p.depth > 0 or (select c.head_id is not null from chatrooms c where c.user_id = ${userId} and c.id = ${chatroomId}) as is_filled
  from path p
  join messages q on q.user_id = ${userId} and q.id = p.question_id
  left join messages r on r.user_id = ${userId} and r.id = p.answer_id
  where (p.depth = 0 or p.answer_id is not null) and p.tokens <= ${contextTokens}
  order by p.depth
`

/** A room's history as the model receives it. */
export class Conversation extends Context.Service<
  Conversation,
  {
    /** The turns that end in the question. */
    readonly turnsFor: (question: Asked) => Effect.Effect<Array<SourcedTurn>>
  }
>()("chat-backend/replies/Conversation") {
  static readonly layer = Layer.effect(
    Conversation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const turnsFor: Conversation["Service"]["turnsFor"] = Effect.fn("Conversation.turnsFor")(function* (question) {
        const statement = branchBefore(sql, question)
        const read = sql<ConversationRow>`${statement}`
        let rows = yield* read
        if (rows[0]?.isFilled === false) {
          yield* sql`select fill_branches(${question.userId}, ${question.chatroomId})`.pipe(retryConflicts(sql))
          rows = yield* read
        }
        const [asked, ...earlier] = rows
        if (asked === undefined) return []
        return fit(asked, earlier, question.systemPrompt, question.contextTokens)
      }, Effect.orDie)

      return Conversation.of({ turnsFor })
    })
  )
}
