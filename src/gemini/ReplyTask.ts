import { Effect, Schema } from "effect"
import { makeForgetTask } from "../queue/ForgetTask.ts"
import { replyTask } from "../queue/Queue.ts"
import type { Task } from "../queue/Tasks.ts"
import { Replies } from "./Replies.ts"

const decode = Schema.decodeUnknownEffect(Schema.Struct({ userId: Schema.String, replyId: Schema.String }))

/** Wakes a reply up. The job carries ids alone: the rows say what is to be done. */
const makeAnswerTask = Effect.map(Replies, (replies): Task => ({
  name: replyTask,
  run: (payload) => Effect.flatMap(decode(payload), ({ replyId, userId }) => replies.answer(userId, replyId))
}))

/** What the worker does for replies. */
export const makeReplyTasks = Effect.all([makeAnswerTask, makeForgetTask("model_pauses", "until < now() - interval '1 day'")])
