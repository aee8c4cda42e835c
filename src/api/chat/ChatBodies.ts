import { Schema } from "effect"
import { exampleQuota, QuotaState } from "../account/Usage.ts"
import { Chatroom, exampleChatroom } from "./Chatroom.ts"
import { exampleMarkdown } from "./ChatroomWithMessages.ts"
import { AttachmentIds } from "../files/File.ts"
import { ContentOfFiles, exampleQuestion, exampleQueued, exampleReply, Message } from "./Message.ts"
import { AskSettings } from "./Settings.ts"

const hasWords = Schema.makeFilter<{ readonly content: string; readonly attachments?: ReadonlyArray<unknown> }>(
  ({ attachments = [], content }) =>
    /\S/u.test(content) || (content === "" && attachments.length > 0) || { path: ["content"], issue: "must not be blank" }
)

export const SendMessage = Schema.Struct({
  content: ContentOfFiles.annotate({ description: "Not blank; empty only with attachments." }),
  attachments: Schema.optionalKey(AttachmentIds),
  settings: Schema.optionalKey(AskSettings)
})
  .annotate({ examples: [{ content: exampleQuestion.content }] })
  .check(hasWords)
  .annotate({ identifier: "SendMessage" })

const Exchange = Schema.Struct({ message: Message, reply: Message, quota: QuotaState }).annotate({
  identifier: "Exchange",
  description: "The question, its reply, and today's quota."
})
const accepted = { message: exampleQuestion, reply: exampleQueued, quota: exampleQuota }
/** With 201: the reply ended within the requested wait. */
export const Answered = Exchange.annotate({ examples: [{ ...accepted, reply: exampleReply }] })
/** With 202: the reply is not finished. */
export const Accepted = Exchange.annotate({ examples: [accepted] })

export const Latest = Schema.Struct({ message: Schema.NullOr(Message), reply: Schema.NullOr(Message) }).annotate({
  identifier: "Latest",
  description: "The newest question and its reply; both are null in an empty room.",
  examples: [{ message: exampleQuestion, reply: exampleReply }]
})

export const NewChatroom = Chatroom.annotate({ examples: [{ ...exampleChatroom, headId: null, lastMessageAt: null }] })

export const Markdown = Schema.String.annotate({ examples: [exampleMarkdown] })
