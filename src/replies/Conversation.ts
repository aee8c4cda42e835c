import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Turn } from "../gemini/Gemini.ts"

/** A turn with the message it comes from. */
export interface SourcedTurn extends Turn {
  readonly messageId: string
}

/** Answered questions that are read from the room; enough to fill the budget, unless they are very short. */
const maximumEarlier = 200

/** Replies, ended in any way, that are looked at in the search for them. */
const maximumReplies = 10_000

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

/** A room's history as the model receives it. */
export class Conversation extends Context.Service<
  Conversation,
  {
    /** The turns that end in the question. */
    readonly turnsFor: (question: {
      readonly userId: string
      readonly chatroomId: string
      readonly questionId: string
      readonly systemPrompt: string | null
      /** Tokens that the prompt may have: system prompt, history and question together. */
      readonly contextTokens: number
    }) => Effect.Effect<Array<SourcedTurn>>
  }
>()("chat-backend/replies/Conversation") {
  static readonly layer = Layer.effect(
    Conversation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const turnsFor: Conversation["Service"]["turnsFor"] = Effect.fn("Conversation.turnsFor")(function* (question) {
        const inRoom = (table: string) =>
          sql`${sql.literal(table)}.user_id = ${question.userId} and ${sql.literal(table)}.chatroom_id = ${question.chatroomId}`
        // The question, and of each earlier question its newest completed reply; a question without one is left out.
        // Replies are read from the index by their questions, and texts only of exchanges that the budget may hold: their
        // sizes are known without.
        const [asked, ...earlier] = yield* sql<AnsweredQuestion>`
          with replies as (
            select r.reply_to, r.id, r.status, octet_length(r.content) as size from messages r
            where ${inRoom("r")} and r.reply_to < ${question.questionId}
            order by r.reply_to desc, r.id desc limit ${maximumReplies}
          ), answers as (
            select distinct on (reply_to) reply_to, id, size from replies where status = 'completed' and size > 0
            order by reply_to desc, id desc limit ${maximumEarlier}
          ), exchanges as (
            select a.reply_to, a.id, sum((a.size + octet_length(q.content)) / 4) over (order by a.reply_to desc) as tokens
            from answers a join messages q on q.user_id = ${question.userId} and q.id = a.reply_to
          )
          select q.id as question_id, q.content as question, null::uuid as answer_id, '' as answer
          from messages q where ${inRoom("q")} and q.id = ${question.questionId} and q.role = 'user'
          union all
          select q.id, q.content, r.id, r.content
          from exchanges e
          join messages q on q.user_id = ${question.userId} and q.id = e.reply_to
          join messages r on r.user_id = ${question.userId} and r.id = e.id
          where e.tokens <= ${question.contextTokens}
          order by question_id desc
        `
        if (asked?.questionId !== question.questionId) return []
        return fit(asked, earlier, question.systemPrompt, question.contextTokens)
      }, Effect.orDie)

      return Conversation.of({ turnsFor })
    })
  )
}
