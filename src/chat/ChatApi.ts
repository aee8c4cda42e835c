import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../auth/AuthApi.ts"
import { QuotaState } from "../auth/User.ts"
import { Cursor, Limit, page } from "../http/Pagination.ts"
import { text } from "../Text.ts"
import {
  ChatroomNotFound, IdempotencyKeyReused, MessageNotFound, QuotaExceededWithHeaders, RoomBusy, TooManyChatrooms
} from "./ChatErrors.ts"
import { Chatroom, ChatroomId, CreateChatroom, UpdateChatroom } from "./Chatroom.ts"
import { Content, Message, MessageId } from "./Message.ts"

const describe = (identifier: string, summary: string, description?: string) =>
  OpenApi.annotations({ identifier, summary, ...(description === undefined ? {} : { description }) })

const IdempotencyKey = { "idempotency-key": Schema.optionalKey(text(1, 255)) }
const Replayed = Schema.optionalKey(Schema.Literal("true"))

/** Seconds a request may wait for its reply to end. */
export const maximumWait = 30
const Wait = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: maximumWait })).annotate({
  description: "Seconds to wait for the reply to end."
})

const room = { id: ChatroomId }
const message = { id: ChatroomId, mid: MessageId }

const ChatroomWithMessages = Schema.Struct({
  ...Chatroom.fields,
  messages: Schema.Array(Message).annotate({ description: "The last 50, oldest first." })
}).annotate({ identifier: "ChatroomWithMessages" })

const Exchange = Schema.Struct({ message: Message, reply: Message, quota: QuotaState }).annotate({ identifier: "Exchange" })
const exchangeHeaders = {
  location: Schema.String.annotate({ description: "The reply." }),
  "idempotent-replayed": Replayed,
  "ratelimit-policy": Schema.optionalKey(Schema.String),
  ratelimit: Schema.optionalKey(Schema.String)
}

const Latest = Schema.Struct({ message: Schema.NullOr(Message), reply: Schema.NullOr(Message) }).annotate({ identifier: "Latest" })

const link = { link: Schema.optionalKey(Schema.String.annotate({ description: 'RFC 8288, rel="next".' })) }
const retryAfter = { "retry-after": Schema.optionalKey(Schema.String.annotate({ description: "While the reply is unfinished." })) }

export class ChatApi extends HttpApiGroup.make("chat")
  .add(
    HttpApiEndpoint.post("createChatroom", "/", {
      headers: IdempotencyKey,
      payload: CreateChatroom,
      success: HttpApiSchema.WithHeaders(Chatroom.pipe(HttpApiSchema.status(201)), {
        location: Schema.String,
        "idempotent-replayed": Replayed
      }),
      error: [TooManyChatrooms, IdempotencyKeyReused]
    }).annotateMerge(describe("createChatroom", "Open a chatroom")),
    HttpApiEndpoint.get("listChatrooms", "/", {
      query: {
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Cursor),
        archived: Schema.optionalKey(Schema.Literals(["true", "false"])),
        q: Schema.optionalKey(text(1, 120))
      },
      success: HttpApiSchema.WithHeaders(page(Chatroom, "ChatroomPage"), link)
    }).annotateMerge(describe("listChatrooms", "List chatrooms", "Pinned first, then by latest activity; archived ones only when asked for.")),
    HttpApiEndpoint.get("getChatroom", "/:id", {
      params: room,
      success: ChatroomWithMessages,
      error: ChatroomNotFound
    }).annotateMerge(describe("getChatroom", "A chatroom with its last messages")),
    HttpApiEndpoint.patch("updateChatroom", "/:id", {
      params: room,
      payload: UpdateChatroom,
      success: Chatroom,
      error: ChatroomNotFound
    }).annotateMerge(describe("updateChatroom", "Rename, set up, pin or archive a chatroom")),
    HttpApiEndpoint.delete("deleteChatroom", "/:id", {
      params: room,
      success: HttpApiSchema.NoContent,
      error: ChatroomNotFound
    }).annotateMerge(describe("deleteChatroom", "Delete a chatroom", "With its messages; a reply being made is stopped.")),
    HttpApiEndpoint.get("listMessages", "/:id/messages", {
      params: room,
      query: {
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Cursor),
        before: Schema.optionalKey(MessageId),
        after: Schema.optionalKey(MessageId)
      },
      success: HttpApiSchema.WithHeaders(page(Message, "MessagePage"), link),
      error: ChatroomNotFound
    }).annotateMerge(describe("listMessages", "The chatroom's history", "Newest first. With `after`, what came after that message, oldest first.")),
    HttpApiEndpoint.post("sendMessage", "/:id/message", {
      params: room,
      headers: { ...IdempotencyKey, prefer: Schema.optionalKey(Schema.String) },
      query: { wait: Schema.optionalKey(Wait) },
      payload: Schema.Struct({ content: Content }).annotate({ identifier: "SendMessage" }),
      success: [
        HttpApiSchema.WithHeaders(Exchange.pipe(HttpApiSchema.status(201)), exchangeHeaders),
        HttpApiSchema.WithHeaders(Exchange.pipe(HttpApiSchema.status(202)), { ...exchangeHeaders, "retry-after": Schema.String })
      ],
      error: [ChatroomNotFound, IdempotencyKeyReused, RoomBusy, QuotaExceededWithHeaders]
    }).annotateMerge(
      describe(
        "sendMessage",
        "Ask a question",
        "202 as soon as question and waiting reply are stored. With `?wait=N` or `Prefer: wait=N`, 201 once the reply has ended in that time."
      )
    ),
    HttpApiEndpoint.get("latest", "/:id/latest", {
      params: room,
      query: { wait: Schema.optionalKey(Wait) },
      success: HttpApiSchema.WithHeaders(Latest, retryAfter),
      error: [ChatroomNotFound, MessageNotFound]
    }).annotateMerge(describe("getLatest", "The newest question and its reply", "Both are null in an empty room.")),
    HttpApiEndpoint.get("getMessage", "/:id/message/:mid", {
      params: message,
      query: { wait: Schema.optionalKey(Wait) },
      success: HttpApiSchema.WithHeaders(Message, retryAfter),
      error: [ChatroomNotFound, MessageNotFound]
    }).annotateMerge(describe("getMessage", "One message"))
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." }))
{}
