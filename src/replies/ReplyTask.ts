import { Effect, Schema } from "effect"
import { replyTask, summaryTask, titleTask } from "../queue/Announcer.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"
import type { Task } from "../queue/Tasks.ts"
import { ReplyMaker } from "./ReplyMaker.ts"
import { SummaryMaker } from "./SummaryMaker.ts"
import { TitleMaker } from "./TitleMaker.ts"

const decode = Schema.decodeUnknownEffect(Schema.Struct({ userId: Schema.String, replyId: Schema.String }))

/** Makes an attempt at a reply. The job holds only ids: what is due is in the reply's row. */
const makeAttemptTask = Effect.map(ReplyMaker, (replyMaker): Task => ({
  name: replyTask,
  run: (payload) => Effect.flatMap(decode(payload), ({ replyId, userId }) => replyMaker.attempt(userId, replyId)),
  asksModel: true,
  // An interrupted reply is handed back, which announces a new job for it.
  interruptedIsDone: true
}))

const decodeTitle = Schema.decodeUnknownEffect(
  Schema.Struct({
    userId: Schema.String,
    roomId: Schema.String,
    questionId: Schema.String,
    replyId: Schema.String,
    traceparent: Schema.optional(Schema.String)
  })
)

/** Names a room. A job that the shutdown or a crash interrupts runs again on another worker. */
const makeTitleTask = Effect.map(TitleMaker, (titleMaker): Task => ({
  name: titleTask,
  run: (payload) => Effect.flatMap(decodeTitle(payload), titleMaker.make),
  asksModel: true
}))

const decodeSummary = Schema.decodeUnknownEffect(
  Schema.Struct({ userId: Schema.String, roomId: Schema.String, replyId: Schema.String })
)

/** Summarises a room. A job that the shutdown interrupts runs again on another worker; one of a process that was killed finds the room claimed for some minutes, and the next reply announces another. */
const makeSummaryTask = Effect.map(SummaryMaker, (summaryMaker): Task => ({
  name: summaryTask,
  run: (payload) => Effect.flatMap(decodeSummary(payload), summaryMaker.make),
  asksModel: true
}))

/** The tasks of replies, titles and summaries. */
export const makeReplyTasks = Effect.all([
  makeAttemptTask,
  makeTitleTask,
  makeSummaryTask,
  makeForgetTask("model_pauses", "until < now() - interval '1 day'")
])
