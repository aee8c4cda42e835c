import { Schema } from "effect"
import { ada, ids, times } from "../Examples.ts"
import { ChatroomId, exampleChatroom, Title } from "../chat/Chatroom.ts"
import { groundingFields } from "../chat/Grounding.ts"
import { exampleQuestion, exampleReply, Message, MessageId } from "../chat/Message.ts"
import { Attachment } from "../files/File.ts"
import { Count, Timestamp, Uuid } from "../Schemas.ts"

export const ShareId = Uuid.pipe(Schema.brand("ShareId"))
export type ShareId = typeof ShareId.Type

/** Seconds that a link may live: a year. */
const maximumLife = 31_536_000

export const CreateShare = Schema.Struct({
  expiresIn: Schema.optionalKey(
    Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: maximumLife }))).annotate({
      description: "Seconds until the link ends; null or absent: it ends when it is revoked."
    })
  ),
  upTo: Schema.optionalKey(
    MessageId.annotate({ description: "The last message that is shown; by default the last completed reply." })
  ),
  title: Schema.optionalKey(Title.annotate({ description: "By default the room's title at this moment." })),
  attachments: Schema.optionalKey(
    Schema.Boolean.annotate({
      description: "Whether the link shows the files of its questions, which anyone with the link can download.",
      default: false
    })
  )
}).annotate({ identifier: "CreateShare", examples: [{ expiresIn: 604_800, title: "What looms weave" }] })
export type CreateShare = typeof CreateShare.Type

const common = {
  id: ShareId,
  title: Schema.String,
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp).annotate({ description: "Null: until it is revoked." }),
  attachments: Schema.Boolean.annotate({ description: "Whether it shows the files of its questions." })
}
const exampleCommon = {
  id: ShareId.make(ids.share),
  title: exampleChatroom.title,
  createdAt: times.shared,
  expiresAt: null,
  attachments: false
}

export const NewShare = Schema.Struct({
  ...common,
  url: Schema.String.annotate({
    description: "The link. It is shown only here: the server stores a hash of its token.",
    format: "uri"
  }),
  messages: Count.annotate({ description: "Messages that the link shows." })
}).annotate({
  identifier: "NewShare",
  description: "A new shared link.",
  examples: [{ ...exampleCommon, url: `https://chat.example.com/share/${ada.shareToken}`, messages: 2 }]
})
export type NewShare = typeof NewShare.Type

export const exampleShare = { ...exampleCommon, chatroomId: ChatroomId.make(ids.room), views: 3 }
export const Share = Schema.Struct({
  ...common,
  chatroomId: ChatroomId,
  views: Count.annotate({ description: "How often the link was opened. The newest views are added within a minute." })
}).annotate({ identifier: "Share", description: "A live shared link, without its address.", examples: [exampleShare] })
export type Share = typeof Share.Type

const exampleMessages = [
  { role: "user" as const, content: exampleQuestion.content, model: null, createdAt: times.asked },
  { role: "model" as const, content: exampleReply.content, model: exampleReply.model, createdAt: times.asked }
]
const SharedAttachment = Schema.Struct({
  name: Attachment.fields.name,
  type: Attachment.fields.type,
  bytes: Attachment.fields.bytes,
  url: Schema.NullOr(Schema.String.annotate({ format: "uri-reference" })).annotate({
    description: "Where its bytes are, as long as the link is live; null when the file was deleted."
  })
}).annotate({ identifier: "SharedAttachment", description: "A file of a shared question." })

export const SharedMessage = Schema.Struct({
  role: Message.fields.role,
  content: Schema.String,
  model: Message.fields.model,
  createdAt: Timestamp,
  sources: Schema.optionalKey(groundingFields.sources),
  attachments: Schema.optionalKey(
    Schema.Array(SharedAttachment).annotate({ description: "The question's files, if the link shows them." })
  )
}).annotate({ identifier: "SharedMessage", description: "A question or a completed reply of a shared conversation." })
export type SharedMessage = typeof SharedMessage.Type

export const SharedConversation = Schema.Struct({
  title: Schema.String,
  createdAt: Timestamp.annotate({ description: "When it was shared." }),
  messages: Schema.Array(SharedMessage).annotate({ description: "Oldest first." }),
  hasMore: Schema.Boolean,
  nextCursor: Schema.NullOr(Schema.String).annotate({ description: "Null on the last page." })
}).annotate({
  identifier: "SharedConversation",
  description: "A page of a shared conversation.",
  examples: [
    { title: exampleChatroom.title, createdAt: times.shared, messages: exampleMessages, hasMore: false, nextCursor: null }
  ]
})
export type SharedConversation = typeof SharedConversation.Type

export const SharedPage = Schema.String.annotate({
  examples: [`<!doctype html>\n<html lang="en">\n<title>${exampleChatroom.title}</title>\n…\n</html>\n`]
})
