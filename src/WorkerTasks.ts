import { Effect, Layer } from "effect"
import { makeAuthTasks } from "./auth/AuthTasks.ts"
import { makeBillingTasks } from "./billing/BillingTasks.ts"
import { makeChatTasks } from "./chat/ChatTasks.ts"
import { makeFileTasks } from "./files/FileTasks.ts"
import { makeModelTasks } from "./models/ModelTasks.ts"
import { Tasks } from "./queue/Tasks.ts"
import { ReplyMakingLayer } from "./replies/MakingLayer.ts"
import { makeReplyTasks } from "./replies/ReplyTask.ts"
import { makeShareTasks } from "./shares/ShareTasks.ts"

/** What jobs can ask of a worker. */
export const TasksLayer = Layer.effect(
  Tasks,
  Effect.map(
    Effect.all([makeReplyTasks, makeChatTasks, makeShareTasks, makeFileTasks, makeModelTasks, makeBillingTasks, makeAuthTasks]),
    (tasks) => tasks.flat()
  )
).pipe(Layer.provide(ReplyMakingLayer))
