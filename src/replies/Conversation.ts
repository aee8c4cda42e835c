import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Turn } from "../gemini/Gemini.ts"

/** A turn with the message it comes from. */
export interface SourcedTurn extends Turn {
  readonly messageId: string
}

/** Answered questions that are read from the room; enough to fill the budget, unless they are very short. */
const maximumEarlier = 200

/** About one token for four bytes of UTF-8: accurate enough to fit a budget, and needs no call to the model. */
export const estimateTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / 4)

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
        // Of each earlier question its newest completed reply; a question without one is left out.
        const rows = yield* sql<AnsweredQuestion>`
          select q.id as question_id, q.content as question, r.id as answer_id, r.content as answer
          from messages q left join lateral (
            select id, content from messages r
            where r.user_id = q.user_id and r.chatroom_id = q.chatroom_id and r.reply_to = q.id and r.status = 'completed'
              and r.content <> ''
            order by r.id desc limit 1
          ) r on true
          where q.user_id = ${question.userId} and q.chatroom_id = ${question.chatroomId} and q.role = 'user'
            and q.id <= ${question.questionId} and (r.content is not null or q.id = ${question.questionId})
          order by q.id desc limit ${maximumEarlier + 1}
        `
        const [asked, ...earlier] = rows
        return asked === undefined ? [] : fit(asked, earlier, question.systemPrompt, question.contextTokens)
      }, Effect.orDie)

      return Conversation.of({ turnsFor })
    })
  )
}
