import { Layer } from "effect"
import { Gemini } from "../gemini/Gemini.ts"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { Conversation } from "./Conversation.ts"
import { Leases } from "./Leases.ts"
import { Moderation } from "./Moderation.ts"
import { RateLimitPause } from "./RateLimitPause.ts"
import { ReplyMaker } from "./ReplyMaker.ts"
import { ReplyStore } from "./ReplyStore.ts"
import { SummaryMaker } from "./SummaryMaker.ts"
import { SummaryStore } from "./SummaryStore.ts"
import { TurnFiles } from "./TurnFiles.ts"
import { TitleMaker } from "./TitleMaker.ts"

/** Makes replies, titles and summaries. Only workers import it, because Google's SDK takes fifteen megabytes. */
export const ReplyMakingLayer = Layer.mergeAll(ReplyMaker.layer, TitleMaker.layer, SummaryMaker.layer).pipe(
  Layer.provide([
    ReplyStore.layer,
    Conversation.layer,
    Leases.layer,
    RateLimitPause.layer,
    DeltaLog.layer,
    Moderation.layer,
    SummaryStore.layer,
    TurnFiles.layer
  ]),
  Layer.provide(Gemini.layer)
)
