import { Effect } from "effect"
import { hasEnded } from "../api/chat/Message.ts"
import { Messages } from "./Messages.ts"
import { type Asked, type Asker, Sending, type Sent } from "./Sending.ts"

/**
 * Accepts a question and waits at most `seconds` for its reply to end. The result has the reply as it ended, or the
 * queued one.
 *
 * A replay does not wait: it has the ended reply if the first response had it, and the queued one otherwise.
 */
export const makeSendAndWait = Effect.gen(function* () {
  const messages = yield* Messages
  const sending = yield* Sending

  /** With `send`, the request that asks: a new question, or another wording of one. */
  const askAndWait = Effect.fnUntraced(function* <E>(
    { userId }: Asker,
    { idempotencyKey, roomId }: Asked,
    route: "sendMessage" | "editMessage",
    send: Effect.Effect<Sent, E>,
    seconds: number
  ) {
    const sent = yield* send
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
    if (idempotencyKey !== undefined && !sent.replayed) yield* sending.rememberCompleted(userId, route, idempotencyKey)
    return { ...sent, reply }
  })

  return {
    send: Effect.fn("SendAndWait.send")((user: Asker, question: Asked & { readonly content: string }, seconds: number) =>
      askAndWait(user, question, "sendMessage", sending.send(user, question), seconds)
    ),
    edit: Effect.fn("SendAndWait.edit")((user: Asker, edited: Parameters<typeof sending.edit>[1], seconds: number) =>
      askAndWait(user, edited, "editMessage", sending.edit(user, edited), seconds)
    )
  }
})
