import { Context, Effect, Layer } from "effect"
import type { UserId } from "../auth/User.ts"
import { cancelled } from "../gemini/Outcome.ts"
import { ReplyStates } from "../gemini/ReplyStates.ts"
import { Queue } from "../queue/Queue.ts"
import { AlreadyFinished, type ChatroomNotFound, type MessageNotFound } from "./ChatErrors.ts"
import type { ChatroomId } from "./Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "./Message.ts"
import { Messages, stopTopic } from "./Messages.ts"

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
>()("chat-backend/chat/Cancellation") {
  static readonly layer = Layer.effect(
    Cancellation,
    Effect.gen(function* () {
      const queue = yield* Queue
      const replies = yield* ReplyStates
      const messages = yield* Messages

      const cancel: Cancellation["Service"]["cancel"] = Effect.fn("Cancellation.cancel")(function* (userId, roomId, id) {
        const before = yield* messages.get(userId, roomId, id)
        if (hasEnded(before)) return yield* new AlreadyFinished()
        if (before.status === "processing") {
          // Its worker has the text, so it ends the reply itself; one that does not answer has died.
          yield* queue.announce({ topics: [stopTopic(id)] })
          const stopped = yield* messages.settled(userId, roomId, id, workerAnswers)
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
