import { Schema } from "effect"
import { ids, times } from "../Examples.ts"
import { Tool } from "../models/ModelsApi.ts"
import { text, Timestamp, Uuid } from "../Schemas.ts"
import { defaultThinking, Thinking, ThinkingInput } from "./Thinking.ts"

export const ChatroomId = Uuid.pipe(Schema.brand("ChatroomId"))
export type ChatroomId = typeof ChatroomId.Type

/**
 * Any character but blanks, controls, combining marks, and those that are shown as nothing (zero-width, fillers). By
 * their numbers, because other languages' patterns do not know the classes of characters.
 */
const visible =
  // oxlint-disable-next-line no-control-regex, no-misleading-character-class -- they are what is refused
  /[^\s\u0000-\u001f\u007f-\u009f\u00ad\u0300-\u036f\u0483-\u0489\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff\u200b-\u200f\u2028-\u202e\u2060-\u206f\u20d0-\u20ff\u2800\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\ufffb]/u

export const Title = text(1, 120).check(Schema.isPattern(visible, { message: "must have a visible character" }))
export const SystemPrompt = Schema.NullOr(text(0, 8_000)).annotate({
  description: "Instructions for the model, sent with every question."
})
export const Model = Schema.NullOr(
  Schema.String.check(
    Schema.isMaxLength(100),
    Schema.isPattern(/^[a-z0-9](?:\.?[a-z0-9-])*\.?$/u, {
      message: "must be a model name of [a-z0-9.-] that begins with [a-z0-9] and does not contain two dots in a row"
    })
  )
).annotate({ description: "Null: the server's default model." })
export const Temperature = Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 }))).annotate({
  description: "Null: the model's default."
})
export const Tools = Schema.Array(Tool)
  .check(Schema.isUnique({ message: "must not name a tool twice" }), Schema.isMaxLength(2))
  .annotate({
    description:
      "`search` lets the model search with Google, `url` lets it read web pages whose addresses are in the conversation."
  })

export const RoomSummaries = Schema.NullOr(Schema.Boolean).annotate({
  description: "Whether messages that no longer fit into a prompt are summarised. Null: the server's default (`ROOM_SUMMARIES`)."
})

export const exampleChatroom = {
  id: ChatroomId.make(ids.room),
  title: "Looms and numbers",
  titleSource: "user" as const,
  systemPrompt: "Answer in one sentence.",
  model: null,
  temperature: 0.5,
  thinking: defaultThinking,
  tools: [],
  summary: null,
  headId: ids.reply,
  pinned: false,
  archivedAt: null,
  lastMessageAt: times.asked,
  createdAt: times.roomOpened,
  updatedAt: times.roomOpened
}

export const Chatroom = Schema.Struct({
  id: ChatroomId,
  title: Schema.String,
  titleSource: Schema.Literals(["default", "words", "model", "user"]).annotate({
    description:
      "Where the title comes from: `default` is the title of a room without a question, `words` the first words of the first question, `model` a model, `user` the user."
  }),
  systemPrompt: Schema.NullOr(Schema.String),
  model: Schema.NullOr(Schema.String).annotate({ description: "Null: the server's default model." }),
  temperature: Schema.NullOr(Schema.Finite),
  thinking: Thinking,
  tools: Schema.Array(Tool),
  summary: RoomSummaries,
  headId: Schema.NullOr(Uuid).annotate({
    description: "The head: the last message of the active branch. Null until the first question."
  }),
  pinned: Schema.Boolean,
  archivedAt: Schema.NullOr(Timestamp).annotate({ description: "Null unless archived." }),
  lastMessageAt: Schema.NullOr(Timestamp).annotate({ description: "Null until the first question." }),
  createdAt: Timestamp,
  updatedAt: Timestamp
}).annotate({ identifier: "Chatroom", description: "A chatroom.", examples: [exampleChatroom] })
export type Chatroom = typeof Chatroom.Type

const settings = {
  title: Schema.optionalKey(Title),
  systemPrompt: Schema.optionalKey(SystemPrompt),
  model: Schema.optionalKey(Model),
  temperature: Schema.optionalKey(Temperature),
  thinking: Schema.optionalKey(ThinkingInput),
  tools: Schema.optionalKey(Tools),
  summary: Schema.optionalKey(RoomSummaries)
}
const { systemPrompt, temperature, title } = exampleChatroom
export const CreateChatroom = Schema.Struct(settings).annotate({
  identifier: "CreateChatroom",
  examples: [{ title, systemPrompt, temperature }]
})
export type CreateChatroom = typeof CreateChatroom.Type

export const UpdateChatroom = Schema.Struct({
  ...settings,
  title: Schema.optionalKey(
    Schema.NullOr(Title).annotate({
      description: "Null: an automatic title from the first question, as for a room created without a title."
    })
  ),
  headId: Schema.optionalKey(
    Uuid.annotate({ description: "Selects the branch of this message; the newest message of that branch becomes the head." })
  ),
  pinned: Schema.optionalKey(Schema.Boolean),
  archived: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "UpdateChatroom", examples: [{ title: "Looms, numbers and flowers", pinned: true }] })
export type UpdateChatroom = typeof UpdateChatroom.Type

export const ForkChatroom = Schema.Struct({
  messageId: Schema.optionalKey(Uuid.annotate({ description: "The last message of the copy; by default the head of the room." })),
  title: Schema.optionalKey(Title)
}).annotate({ identifier: "ForkChatroom", examples: [{ messageId: ids.reply, title: "Looms, another way" }] })
export type ForkChatroom = typeof ForkChatroom.Type
