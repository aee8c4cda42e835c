import { ByteSize, Schema } from "effect"
import { Attachment, maximumAttachments } from "../files/File.ts"
import { Count, text, Uuid } from "../Schemas.ts"
import { Chatroom, Model, RoomSummaries, SystemPrompt, Temperature, Title, Tools } from "./Chatroom.ts"
import { exampleExport } from "./ChatroomWithMessages.ts"
import { BlockDetail, ErrorCode, MessageId, Status } from "./Message.ts"
import { ThinkingInput } from "./Thinking.ts"

/** Messages, and bytes of the body, that an import may have. */
export const maximumImported = 2_000
export const maximumImportBytes = ByteSize.mebibytes(8)

const maximumReplyBytes = 1_048_576

const nullable = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const listOf = <S extends Schema.Top>(schema: S, most: number) =>
  Schema.optionalKey(Schema.Array(schema).check(Schema.isMaxLength(most)))

const Time = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/u, {
    message: "must be a time in ISO 8601"
  }),
  Schema.makeFilter<string>((time) => !Number.isNaN(Date.parse(time)) || "must be a time in ISO 8601")
).annotate({ format: "date-time" })

const WebAddress = text(1, 2_048).check(Schema.isPattern(/^https?:\/\//iu, { message: "must be an address of http or https" }))

const ImportedMessage = Schema.Struct({
  id: MessageId,
  role: Schema.Literals(["user", "model"]),
  content: text(0, maximumReplyBytes),
  status: Schema.optionalKey(Status),
  replyTo: nullable(MessageId),
  parentId: nullable(MessageId).annotate({
    description: "Of a question: the reply that it follows. When it is omitted, the newest completed reply before it."
  }),
  finishReason: nullable(text(0, 200)),
  truncated: Schema.optionalKey(Schema.Boolean),
  error: nullable(
    Schema.Struct({
      code: ErrorCode,
      message: text(0, 100),
      reason: Schema.optionalKey(text(0, 200)),
      about: Schema.optionalKey(BlockDetail.fields.about),
      categories: listOf(text(0, 200), 16)
    })
  ),
  model: nullable(text(1, 200)),
  output: Schema.optionalKey(Schema.Unknown),
  thoughts: nullable(text(0, 65_536)),
  sources: listOf(Schema.Struct({ url: WebAddress, title: text(0, 555), domain: Schema.NullOr(text(0, 255)) }), 64),
  citations: listOf(Schema.Struct({ start: Count, end: Count, sources: Schema.Array(Count).check(Schema.isMaxLength(16)) }), 500),
  searches: listOf(text(0, 500), 50),
  urls: listOf(Schema.Struct({ url: WebAddress, status: Schema.Literals(["success", "error", "paywall", "unsafe"]) }), 32),
  attachments: listOf(Schema.Struct({ ...Attachment.fields, name: text(1, 255), type: text(1, 100) }), maximumAttachments),
  createdAt: Time,
  completedAt: nullable(Time)
}).annotate({ identifier: "ImportedMessage" })
export type ImportedMessage = typeof ImportedMessage.Type

/** A room as `GET /chatroom/:id/export` gives it; other members of it are ignored. */
export const ImportChatroom = Schema.Struct({
  title: Title,
  titleSource: Schema.optionalKey(Chatroom.fields.titleSource),
  systemPrompt: Schema.optionalKey(SystemPrompt),
  model: Schema.optionalKey(Model),
  temperature: Schema.optionalKey(Temperature),
  thinking: Schema.optionalKey(ThinkingInput),
  tools: Schema.optionalKey(Tools),
  summary: Schema.optionalKey(RoomSummaries),
  headId: nullable(Uuid).annotate({ description: "The message on which the room stands; by default the last one." }),
  messages: Schema.Array(ImportedMessage)
    .check(Schema.isMaxLength(maximumImported))
    .annotate({ description: "Each after the messages that it names: oldest first." })
}).annotate({ identifier: "ImportChatroom", description: "A chatroom as it was exported.", examples: [exampleExport] })
export type ImportChatroom = typeof ImportChatroom.Type
