import { Schema } from "effect"
import { Chatroom, exampleChatroom } from "./Chatroom.ts"
import { exampleQuestion, exampleReply, Message } from "./Message.ts"

export const ChatroomWithMessages = Schema.Struct({
  ...Chatroom.fields,
  messages: Schema.Array(Message).annotate({
    description: "The last 50, oldest first; fewer when they have more than 1 MiB of text."
  })
}).annotate({
  identifier: "ChatroomWithMessages",
  description: "A chatroom with its last messages.",
  examples: [{ ...exampleChatroom, messages: [exampleQuestion, exampleReply] }]
})

export const exampleExport = { ...exampleChatroom, messages: [exampleQuestion, exampleReply] }
export const ChatroomExport = Schema.Struct({
  ...Chatroom.fields,
  messages: Schema.Array(Message).annotate({
    description: "The messages of the active branch, or of all branches; oldest first."
  })
}).annotate({ identifier: "ChatroomExport", description: "A chatroom with its messages.", examples: [exampleExport] })

/** The same room with `format=markdown`. */
export const exampleMarkdown = [
  `# ${exampleChatroom.title}`,
  `\n## You, ${exampleQuestion.createdAt}`,
  `\n${exampleQuestion.content}`,
  `\n## ${exampleReply.model}, ${exampleReply.createdAt}`,
  `\n${exampleReply.content}\n`
].join("\n")
