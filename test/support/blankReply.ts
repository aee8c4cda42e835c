import { ChatroomId } from "../../src/api/chat/Chatroom.ts"
import { noGrounding } from "../../src/api/chat/Grounding.ts"
import { type Message, MessageId, onlyVersion } from "../../src/api/chat/Message.ts"

/** A reply before its first attempt, as its row is read, for tests of what a stream makes of it. */
export const blankReply: Message = {
  id: MessageId.make("01980000-0000-7000-8000-000000000001"),
  chatroomId: ChatroomId.make("01980000-0000-7000-8000-000000000002"),
  role: "model",
  content: "",
  status: "queued",
  replyTo: null,
  parentId: null,
  versions: onlyVersion,
  supersededBy: null,
  attempt: 0,
  finishReason: null,
  truncated: false,
  error: null,
  model: null,
  usage: null,
  costMicros: null,
  output: null,
  feedback: null,
  ...noGrounding,
  toolsSkipped: [],
  attachments: [],
  createdAt: "2026-11-21T00:00:00.000Z",
  completedAt: null
}
