import { Schema } from "effect"
import { text, Timestamp, Uuid } from "../Text.ts"

export const ChatroomId = Uuid.pipe(Schema.brand("ChatroomId"))
export type ChatroomId = typeof ChatroomId.Type

export const Title = text(1, 120)
const SystemPrompt = Schema.NullOr(text(0, 8_000))
const Model = Schema.NullOr(
  Schema.String.check(Schema.isPattern(/^[a-z0-9.-]{1,100}$/u, { message: "must be a model name of [a-z0-9.-]" }))
)
const Temperature = Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 })))

export const Chatroom = Schema.Struct({
  id: ChatroomId,
  title: Schema.String,
  systemPrompt: Schema.NullOr(Schema.String),
  model: Schema.NullOr(Schema.String).annotate({ description: "Null is the server's default model." }),
  temperature: Schema.NullOr(Schema.Finite),
  pinned: Schema.Boolean,
  archivedAt: Schema.NullOr(Timestamp),
  lastMessageAt: Schema.NullOr(Timestamp),
  createdAt: Timestamp,
  updatedAt: Timestamp
}).annotate({ identifier: "Chatroom" })
export type Chatroom = typeof Chatroom.Type

const settings = {
  title: Schema.optionalKey(Title),
  systemPrompt: Schema.optionalKey(SystemPrompt),
  model: Schema.optionalKey(Model),
  temperature: Schema.optionalKey(Temperature)
}
export const CreateChatroom = Schema.Struct(settings).annotate({ identifier: "CreateChatroom" })
export type CreateChatroom = typeof CreateChatroom.Type

export const UpdateChatroom = Schema.Struct({
  ...settings,
  pinned: Schema.optionalKey(Schema.Boolean),
  archived: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "UpdateChatroom" })
export type UpdateChatroom = typeof UpdateChatroom.Type
