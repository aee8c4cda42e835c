import { Effect, Schema } from "effect"
import { replyTask } from "../queue/Announcer.ts"
import type { Task } from "../queue/Tasks.ts"
import { ReplyMaker } from "./ReplyMaker.ts"

const decode = Schema.decodeUnknownEffect(Schema.Struct({ userId: Schema.String, replyId: Schema.String }))

/** Makes an attempt at a reply. The job holds only ids: what is due is in the reply's row. */
export const makeReplyTask = Effect.map(ReplyMaker, (replyMaker): Task => ({
  name: replyTask,
  run: (payload) => Effect.flatMap(decode(payload), ({ replyId, userId }) => replyMaker.attempt(userId, replyId)),
  // An interrupted reply is handed back, which announces a new job for it.
  interruptedIsDone: true
}))
