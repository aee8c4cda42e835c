import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Turn } from "../gemini/Gemini.ts"

/** A turn and the message it was made of. */
export interface SourcedTurn extends Turn {
  readonly messageId: string
}

/** Tokens of a prompt: system prompt, history and question together. */
export const contextBudget = 32_000

/** Earlier exchanges that are looked at; a budget of short ones fits in. */
const maximumExchanges = 200

/** About one token for four bytes of UTF-8: near enough to choose what to leave out, without asking the model. */
export const estimateTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / 4)

export interface Exchange {
  readonly questionId: string
  readonly question: string
  readonly answerId: string
  readonly answer: string
}

/**
 * The turns that are sent: the question, and before it as many whole exchanges as the budget holds, the newest
 * first. Questions that were never answered are left out, so the roles always alternate.
 */
export const fit = (
  asked: Pick<Exchange, "questionId" | "question">,
  exchangesNewestFirst: ReadonlyArray<Exchange>,
  systemPrompt: string | null
): Array<SourcedTurn> => {
  let left = contextBudget - estimateTokens(asked.question) - estimateTokens(systemPrompt ?? "")
  const turns: Array<SourcedTurn> = [{ role: "user", text: asked.question, messageId: asked.questionId }]
  for (const { answer, answerId, question, questionId } of exchangesNewestFirst) {
    left -= estimateTokens(question) + estimateTokens(answer)
    if (left < 0) break
    turns.unshift({ role: "user", text: question, messageId: questionId }, { role: "model", text: answer, messageId: answerId })
  }
  return turns
}

/** A room's history as the model is to see it. */
export class Conversation extends Context.Service<
  Conversation,
  {
    readonly before: (question: {
      readonly userId: string
      readonly chatroomId: string
      readonly questionId: string
      readonly systemPrompt: string | null
    }) => Effect.Effect<Array<SourcedTurn>>
  }
>()("chat-backend/replies/Conversation") {
  static readonly layer = Layer.effect(
    Conversation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const before: Conversation["Service"]["before"] = Effect.fn("Conversation.before")(function* (question) {
        // The newest completed reply of each earlier question; failed, blocked and cancelled turns are not history.
        const rows = yield* sql<Exchange>`
          select q.id as question_id, q.content as question, r.id as answer_id, r.content as answer
          from messages q left join lateral (
            select id, content from messages r
            where r.user_id = q.user_id and r.chatroom_id = q.chatroom_id and r.reply_to = q.id and r.status = 'completed'
              and r.content <> ''
            order by r.id desc limit 1
          ) r on true
          where q.user_id = ${question.userId} and q.chatroom_id = ${question.chatroomId} and q.role = 'user'
            and q.id <= ${question.questionId} and (r.content is not null or q.id = ${question.questionId})
          order by q.id desc limit ${maximumExchanges + 1}
        `
        const [asked, ...earlier] = rows
        return asked === undefined ? [] : fit(asked, earlier, question.systemPrompt)
      }, Effect.orDie)

      return Conversation.of({ before })
    })
  )
}
