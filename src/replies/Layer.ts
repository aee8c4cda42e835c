import { Layer } from "effect"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { Cancellation } from "./Cancellation.ts"
import { ContextReceipts } from "./ContextReceipts.ts"
import { Conversation } from "./Conversation.ts"
import { ReaperLayer } from "./Reaper.ts"
import { ReplyStore } from "./ReplyStore.ts"

/** What clients ask about replies, and the sweep that every process takes part in. `WorkerTasks.ts` makes replies. */
export const RepliesLayer = Layer.mergeAll(ContextReceipts.layer, Cancellation.layer, ReplyStream.layer, ReaperLayer).pipe(
  Layer.provide([ReplyStore.layer, Conversation.layer, DeltaLog.layer])
)
