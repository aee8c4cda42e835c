import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../auth/AuthApi.ts"
import { QuotaState } from "../auth/User.ts"
import { describe } from "../http/Describe.ts"
import { Cursor, Limit, page } from "../http/Pagination.ts"
import { integerFromText, text } from "../Text.ts"
import {
  AlreadyFinished,
  ChatroomNotFound,
  IdempotencyKeyReused,
  MessageNotFound,
  NotFinished,
  QuotaExceededWithHeaders,
  RoomBusy,
  TooManyChatrooms
} from "./ChatErrors.ts"
import { ContextReceipt } from "./ContextReceipt.ts"
import { Chatroom, ChatroomId, CreateChatroom, UpdateChatroom } from "./Chatroom.ts"
import { Content, FoundMessage, Message, MessageId } from "./Message.ts"
import { TooManyStreams } from "../stream/StreamErrors.ts"

const IdempotencyKey = { "idempotency-key": Schema.optionalKey(text(1, 255)) }
const Replayed = Schema.optionalKey(Schema.Literal("true"))

/** Seconds a request may wait for its reply to end. */
export const maximumWait = 30
const Wait = integerFromText(0, maximumWait).annotate({ description: "Seconds to wait for the reply to end." })

const StreamPosition = Schema.String.check(
  Schema.isPattern(/^\d{1,9}:\d{1,9}$/u, { message: "must be attempt:offset, the id of an event" })
).annotate({ examples: ["1:120"] })

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

const Latest = Schema.Struct({ message: Schema.NullOr(Message), reply: Schema.NullOr(Message) }).annotate({
  identifier: "Latest"
})

const link = { link: Schema.optionalKey(Schema.String.annotate({ description: 'RFC 8288, rel="next".' })) }
const cacheHeaders = {
  etag: Schema.String,
  "cache-control": Schema.String,
  "cache-status": Schema.String.annotate({ description: "RFC 9211: `chatrooms; hit`, or why it was not." })
}
const retryAfter = {
  "retry-after": Schema.optionalKey(Schema.String.annotate({ description: "While the reply is unfinished." }))
}

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
      headers: { "if-none-match": Schema.optionalKey(Schema.String) },
      success: [HttpApiSchema.WithHeaders(page(Chatroom, "ChatroomPage"), { ...link, ...cacheHeaders }), HttpApiSchema.Empty(304)]
    }).annotateMerge(
      describe("listChatrooms", "List chatrooms", "Pinned first, then by latest activity; archived ones only when asked for.")
    ),
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
    }).annotateMerge(
      describe(
        "listMessages",
        "The chatroom's history",
        "Newest first. With `after`, what came after that message, oldest first."
      )
    ),
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
    }).annotateMerge(describe("getMessage", "One message")),
    HttpApiEndpoint.get("streamMessage", "/:id/message/:mid/stream", {
      params: message,
      query: { after: Schema.optionalKey(StreamPosition) },
      headers: { "last-event-id": Schema.optionalKey(StreamPosition) },
      success: [HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" }), HttpApiSchema.NoContent],
      error: [ChatroomNotFound, MessageNotFound, TooManyStreams]
    }).annotateMerge(
      describe(
        "streamMessage",
        "Watch a reply being written",
        "Server-sent events: `status`, `delta`, `replace` (a new attempt starts over), `usage`, and one of `completed`, `failed`, `cancelled` with the Message. The id of an event is the place to resume from (`Last-Event-ID` or `?after=`). A reply that is finished and fully read is 204."
      )
    ),
    HttpApiEndpoint.post("cancelMessage", "/:id/message/:mid/cancel", {
      params: message,
      success: Message,
      error: [ChatroomNotFound, MessageNotFound, AlreadyFinished]
    }).annotateMerge(describe("cancelMessage", "Stop a reply", "What was written of it stays.")),
    HttpApiEndpoint.post("regenerateMessage", "/:id/message/:mid/regenerate", {
      params: message,
      headers: IdempotencyKey,
      success: HttpApiSchema.WithHeaders(Exchange.pipe(HttpApiSchema.status(202)), {
        ...exchangeHeaders,
        "retry-after": Schema.String
      }),
      error: [ChatroomNotFound, MessageNotFound, NotFinished, IdempotencyKeyReused, RoomBusy, QuotaExceededWithHeaders]
    }).annotateMerge(
      describe(
        "regenerateMessage",
        "Answer a question again",
        "Takes quota as a new question does; the old reply stays readable."
      )
    ),
    HttpApiEndpoint.get("getMessageContext", "/:id/message/:mid/context", {
      params: message,
      success: ContextReceipt,
      error: [ChatroomNotFound, MessageNotFound]
    }).annotateMerge(
      describe("getMessageContext", "What the model was sent for a reply", "Before the reply is made: what would be sent now.")
    )
  )
  .add(
    HttpApiEndpoint.get("exportChatroom", "/:id/export", {
      params: room,
      query: { format: Schema.optionalKey(Schema.Literals(["json", "markdown"])) },
      success: HttpApiSchema.StreamUint8Array({ contentType: "application/json" }),
      error: ChatroomNotFound
    }).annotateMerge(
      describe("exportChatroom", "A chatroom with all its messages", "As JSON, or with `format=markdown` as text/markdown.")
    )
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." })) {}

export class SearchApi extends HttpApiGroup.make("search")
  .add(
    HttpApiEndpoint.get("search", "/search", {
      query: { q: text(1, 200), limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(FoundMessage, "FoundMessagePage"), link)
    }).annotateMerge(describe("search", "Find words in one's own messages", "The newest first."))
  )
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Search" })) {}
