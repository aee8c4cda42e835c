import { Effect } from "effect"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded } from "../api/chat/Message.ts"
import { Messages } from "./Messages.ts"
import { Sending } from "./Sending.ts"

interface Question {
  readonly userId: UserId
  readonly roomId: ChatroomId
  readonly content: string
  readonly idempotencyKey?: string | undefined
}

/**
 * Accepts a question and waits at most `seconds` for its reply to end. The result has the reply as it ended, or the
 * queued one.
 *
 * A replay does not wait: it has the ended reply if the first response had it, and the queued one otherwise.
 */
export const makeSendAndWait = Effect.gen(function* () {
  const messages = yield* Messages
  const sending = yield* Sending

  return Effect.fn("SendAndWait")(function* ({ content, idempotencyKey, roomId, userId }: Question, seconds: number) {
    const sent = yield* sending.send(userId, roomId, content, idempotencyKey)
    const firstResponseHadEnded = sent.replayed && sent.status === 201
    const wait = sent.replayed ? 0 : seconds
    if (wait === 0 && !firstResponseHadEnded) return sent
    const reply = yield* messages.awaitEnd(userId, roomId, sent.reply.id, wait).pipe(
      // The room was deleted during the wait, but the question was accepted.
      Effect.catchTags({
        MessageNotFound: () => Effect.succeed(sent.reply),
        ChatroomNotFound: () => Effect.succeed(sent.reply)
      })
    )
    if (!hasEnded(reply)) return sent
    if (idempotencyKey !== undefined && !sent.replayed) yield* sending.rememberCompleted(userId, idempotencyKey)
    return { ...sent, reply }
  })
})
