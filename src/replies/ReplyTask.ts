import { Effect, Schema } from "effect"
import { replyTask } from "../queue/Announcer.ts"
import type { Task } from "../queue/Tasks.ts"
import { Replies } from "./Replies.ts"

const decode = Schema.decodeUnknownEffect(Schema.Struct({ userId: Schema.String, replyId: Schema.String }))

/** Wakes a reply up. The job carries ids alone: the rows say what is to be done. */
export const makeReplyTask = Effect.map(Replies, (replies): Task => ({
  name: replyTask,
  run: (payload) => Effect.flatMap(decode(payload), ({ replyId, userId }) => replies.answer(userId, replyId)),
  // An interrupted reply is handed back, which announces a new job for it.
  interruptedIsDone: true
}))
