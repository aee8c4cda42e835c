import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { Announcer } from "../queue/Announcer.ts"
import { AlreadyFinished, type ChatroomNotFound, type MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { Messages } from "../chat/Messages.ts"
import { topicOf } from "../database/Topics.ts"

/** Seconds a worker has to end a reply that was cancelled. */
const workerAnswers = 2

export class Cancellation extends Context.Service<
  Cancellation,
  {
    /** Stops a reply and keeps what was written of it. */
    readonly cancel: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound | AlreadyFinished>
  }
>()("chat-backend/replies/Cancellation") {
  static readonly layer = Layer.effect(
    Cancellation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const messages = yield* Messages

      const cancel: Cancellation["Service"]["cancel"] = Effect.fn("Cancellation.cancel")(function* (userId, roomId, id) {
        const before = yield* messages.get(userId, roomId, id)
        if (hasEnded(before)) return yield* new AlreadyFinished()
        if (before.status === "processing") {
          // Its worker has the text, so it ends the reply itself; one that does not answer has died.
          yield* announcer.announce({ topics: [topicOf("stop", id)] })
          const stopped = yield* messages.awaitEnd(userId, roomId, id, workerAnswers)
          if (stopped.status === "cancelled") return stopped
          if (hasEnded(stopped)) return yield* new AlreadyFinished()
        }
        const [row] = yield* sql<{ finished: boolean; nextReply: string | null }>`
          select * from finish_reply(${userId}, ${id}, null, 'cancelled', (
            select coalesce(string_agg(s.body, '' order by s.start_offset), '') from stream_segments s
            join messages m on m.user_id = s.user_id and m.id = s.reply_id and m.attempt = s.attempt
            where s.user_id = ${userId} and s.reply_id = ${id}
          ), null, false, null, null, null, null, null, null, null, false, 0, null, null)
        `.pipe(Effect.orDie)
        if (row?.finished !== true) return yield* new AlreadyFinished()
        yield* announcer.announce({
          replies: row.nextReply === null ? [] : [{ userId, replyId: row.nextReply }],
          topics: [topicOf("stop", id), topicOf("reply", id)]
        })
        return yield* messages.get(userId, roomId, id)
      })

      return Cancellation.of({ cancel })
    })
  )
}
