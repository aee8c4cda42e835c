import { Context, Effect, Layer, Metric } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { type ChatroomNotFound, type MessageNotFound, NotAReply } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { Feedback, GiveFeedback, Message, MessageId } from "../api/chat/Message.ts"
import type { GivenFeedback } from "../api/ops/AdminApi.ts"
import { iso } from "../api/Schemas.ts"
import { ReadSql } from "../database/Database.ts"
import { columnsWithThoughts, type MessageRow, toMessage } from "./MessageRow.ts"
import { Messages } from "./Messages.ts"

/** Models that users may choose are few, so that the series are. */
const ratings = (rating: Feedback["rating"], model: string) =>
  Metric.counter("chat_feedback_total", {
    description: "Ratings of replies, by the model that was asked; a rating that is repeated unchanged counts once.",
    attributes: { rating, model },
    incremental: true
  })

/** Where a page of the list begins: after this one. */
export interface FeedbackPosition {
  readonly at: string
  readonly id: string
}

/** Users' ratings of replies. */
export class Feedbacks extends Context.Service<
  Feedbacks,
  {
    /** Replaces the feedback to a reply, or removes it. */
    readonly give: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId,
      feedback: GiveFeedback
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound | NotAReply>
    /** The feedback of all users, the newest first. */
    readonly list: (query: {
      readonly limit: number
      readonly after: FeedbackPosition | undefined
    }) => Effect.Effect<{ readonly found: ReadonlyArray<GivenFeedback>; readonly hasMore: boolean }>
  }
>()("chat-backend/chat/Feedbacks") {
  static readonly layer = Layer.effect(
    Feedbacks,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const messages = yield* Messages
      const registry = yield* Metric.MetricRegistry

      const give: Feedbacks["Service"]["give"] = Effect.fn("Feedbacks.give")(function* (userId, roomId, id, given) {
        const { comment = null, rating, reasons = [] } = given
        const feedback = rating === null ? null : JSON.stringify({ rating, reasons, comment })
        const [row] = yield* sql<MessageRow & { readonly before: Feedback["rating"] | null; readonly askedModel: string | null }>`
          with old as (
            select user_id as owner, id as reply, feedback ->> 'rating' as before from messages
            where user_id = ${userId} and id = ${id} and chatroom_id = ${roomId} and role = 'model' for no key update
          )
          update messages set feedback = ${feedback}::text::jsonb,
            feedback_at = case when ${feedback}::text is not null then date_trunc('milliseconds', clock_timestamp()) end
          from old where user_id = owner and id = reply
          returning ${sql.literal(columnsWithThoughts)}, before, settings ->> 'model' as asked_model
        `.pipe(Effect.orDie)
        if (row === undefined) {
          yield* messages.get(userId, roomId, id)
          return yield* new NotAReply()
        }
        if (rating !== null && rating !== row.before) {
          const counted = Metric.update(ratings(rating, row.askedModel ?? "unknown"), 1)
          yield* Effect.provideService(counted, Metric.MetricRegistry, registry)
        }
        return toMessage(row)
      })

      const list: Feedbacks["Service"]["list"] = Effect.fn("Feedbacks.list")(function* ({ after, limit }) {
        const rows = yield* readSql<{
          readonly id: MessageId
          readonly userId: UserId
          readonly chatroomId: ChatroomId
          readonly model: string | null
          readonly feedback: Feedback
          readonly feedbackAt: Date
        }>`
          select id, user_id, chatroom_id, coalesce(model, settings ->> 'model') as model, feedback, feedback_at from messages
          where feedback_at is not null
            and ${after === undefined ? sql`true` : sql`(feedback_at, id) < (${after.at}::timestamptz, ${after.id}::uuid)`}
          order by feedback_at desc, id desc limit ${limit + 1}
        `.pipe(Effect.orDie)
        const found = rows.slice(0, limit).map(({ chatroomId, feedback, feedbackAt, id, model, userId }) => ({
          messageId: id,
          chatroomId,
          userId,
          model,
          ...feedback,
          at: iso(feedbackAt)
        }))
        return { found, hasMore: rows.length > limit }
      })

      return Feedbacks.of({ give, list })
    })
  )
}
