import { Layer } from "effect"
import { SharedMessages } from "./SharedMessages.ts"
import { Shares } from "./Shares.ts"
import { ShareViews } from "./ShareViews.ts"

/** Links under which a part of a room can be read. */
export const SharesLayer = Layer.mergeAll(Shares.layer, SharedMessages.layer, ShareViews.layer)
