import { Effect } from "effect"
import { hasEnded } from "../api/chat/Message.ts"
import { Messages } from "./Messages.ts"
import { type Asked, type Asker, Sending } from "./Sending.ts"

/**
 * Accepts a question and waits at most `seconds` for its reply to end. The result has the reply as it ended, or the
 * queued one.
 *
 * A replay does not wait: it has the ended reply if the first response had it, and the queued one otherwise.
 */
export const makeSendAndWait = Effect.gen(function* () {
  const messages = yield* Messages
  const sending = yield* Sending

  return Effect.fn("SendAndWait")(function* (user: Asker, question: Asked & { readonly content: string }, seconds: number) {
    const { idempotencyKey, roomId } = question
    const { userId } = user
    const sent = yield* sending.send(user, question)
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
