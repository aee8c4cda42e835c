import { Layer } from "effect"
import { Gemini } from "../gemini/Gemini.ts"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { Cancellation } from "./Cancellation.ts"
import { ContextReceipts } from "./ContextReceipts.ts"
import { Conversation } from "./Conversation.ts"
import { Leases } from "./Leases.ts"
import { RateLimitPause } from "./RateLimitPause.ts"
import { ReplyMaker } from "./ReplyMaker.ts"
import { ReplyStore } from "./ReplyStore.ts"
import { TitleMaker } from "./TitleMaker.ts"

/** Makes replies and streams them. */
export const RepliesLayer = Layer.mergeAll(
  ReplyMaker.layer,
  TitleMaker.layer,
  ContextReceipts.layer,
  Cancellation.layer,
  ReplyStream.layer
).pipe(
  Layer.provide([ReplyStore.layer, Conversation.layer, Leases.layer, RateLimitPause.layer, DeltaLog.layer]),
  Layer.provide(Gemini.layer)
)
