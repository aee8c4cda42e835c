import { Layer } from "effect"
import { Branches } from "./Branches.ts"
import { ChatroomList } from "./ChatroomList.ts"
import { Chatrooms } from "./Chatrooms.ts"
import { Feedbacks } from "./Feedbacks.ts"
import { Messages } from "./Messages.ts"
import { Quota } from "./Quota.ts"
import { RoomCopies } from "./RoomCopies.ts"
import { RoomExport } from "./RoomExport.ts"
import { RoomImport } from "./RoomImport.ts"
import { RoomOpening } from "./RoomOpening.ts"
import { Search } from "./Search.ts"
import { Sending } from "./Sending.ts"
import { Summaries } from "./Summaries.ts"

/** Chatrooms, their messages, and the quota within which questions are accepted. */
export const ChatLayer = Layer.mergeAll(
  ChatroomList.layer,
  Sending.layer,
  RoomExport.layer,
  RoomCopies.layer,
  RoomImport.layer,
  RoomOpening.layer,
  Search.layer,
  Summaries.layer,
  Feedbacks.layer
).pipe(Layer.provideMerge([Chatrooms.layer, Messages.layer, Quota.layer]), Layer.provideMerge(Branches.layer))
