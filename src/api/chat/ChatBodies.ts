import { Schema } from "effect"
import { exampleQuota, QuotaState } from "../account/Usage.ts"
import { Chatroom, exampleChatroom } from "./Chatroom.ts"
import { exampleMarkdown } from "./ChatroomWithMessages.ts"
import { exampleQuestion, exampleQueued, exampleReply, Message } from "./Message.ts"

const Exchange = Schema.Struct({ message: Message, reply: Message, quota: QuotaState }).annotate({
  identifier: "Exchange",
  description: "The question, its reply, and what is left of the day's prompts."
})
const accepted = { message: exampleQuestion, reply: exampleQueued, quota: exampleQuota }
/** With 201: the reply has ended in the time that was waited. */
export const Answered = Exchange.annotate({ examples: [{ ...accepted, reply: exampleReply }] })
/** With 202: it is still to come. */
export const Accepted = Exchange.annotate({ examples: [accepted] })

export const Latest = Schema.Struct({ message: Schema.NullOr(Message), reply: Schema.NullOr(Message) }).annotate({
  identifier: "Latest",
  description: "The newest question and its reply; both are null in an empty room.",
  examples: [{ message: exampleQuestion, reply: exampleReply }]
})

export const NewChatroom = Chatroom.annotate({ examples: [{ ...exampleChatroom, lastMessageAt: null }] })

export const Markdown = Schema.String.annotate({ examples: [exampleMarkdown] })
