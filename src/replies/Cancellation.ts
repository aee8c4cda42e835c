import { Context, Effect, Layer } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { Announcer } from "../queue/Announcer.ts"
import { AlreadyFinished, type ChatroomNotFound, type MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { Messages } from "../chat/Messages.ts"
import { topicOf } from "../database/Topics.ts"
import { cancelled } from "./Outcome.ts"
import { ReplyStore } from "./ReplyStore.ts"

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
      const announcer = yield* Announcer
      const replies = yield* ReplyStore
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
        const ended = yield* replies.finish({ userId, id }, null, cancelled(null, null))
        if (!ended) return yield* new AlreadyFinished()
        return yield* messages.get(userId, roomId, id)
      })

      return Cancellation.of({ cancel })
    })
  )
}
