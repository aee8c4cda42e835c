import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { ids } from "../Examples.ts"
import { describe } from "../Describe.ts"
import { TooManyAttempts } from "../auth/AuthErrors.ts"
import { AcceptsTicket, Ticket, withTicket } from "../Ticket.ts"
import { TooManyRequests } from "../Problems.ts"
import { IdempotencyKey, Replayed, IdempotencyKeyReused } from "../Idempotency.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { integerFromText, text } from "../Schemas.ts"
import { AttachmentsNotInPlan, AttachmentsTooLarge } from "../files/FileErrors.ts"
import { Accepted, Answered, Latest, Markdown, NewChatroom, SendMessage } from "./ChatBodies.ts"
import {
  ChatroomNotFound,
  ChatroomsLimited,
  MessageNotFound,
  NotFinished,
  DayUsedUpWithHeaders,
  quotaHeaders,
  RoomBusy,
  SpendLimitReached,
  TooManyChatrooms
} from "./ChatErrors.ts"

import { Chatroom, ChatroomId, CreateChatroom, exampleChatroom, UpdateChatroom } from "./Chatroom.ts"
import { ChatroomExport, ChatroomWithMessages } from "./ChatroomWithMessages.ts"
import { ModelNotInPlan, ToolNotInPlan } from "../models/ModelErrors.ts"
import { Content, exampleReply, Message, MessageId } from "./Message.ts"
import { AskSettings } from "./Settings.ts"

/** Seconds that a request may wait for its reply. */
export const maximumWait = 30
export const Wait = integerFromText(0, maximumWait).annotate({
  description: "Seconds to wait for the reply. A user's sixth simultaneous wait gets the current state at once."
})
export const Prefer = Schema.String.annotate({
  description: "`Prefer: wait=N` (RFC 7240) works like `?wait=N`; other preferences are ignored.",
  examples: ["wait=20"]
})

export const room = { id: ChatroomId.annotate({ description: "Chatroom id.", examples: [ChatroomId.make(ids.room)] }) }
const mid = MessageId.annotate({ description: "Message id.", examples: [MessageId.make(ids.reply)] })
export const message = { ...room, mid }

/** Why a question, or another reply to one, is not accepted, besides limits. */
export const refusalsWithoutLimits = [IdempotencyKeyReused, RoomBusy, ModelNotInPlan, ToolNotInPlan, SpendLimitReached] as const
export const refusals = [...refusalsWithoutLimits, DayUsedUpWithHeaders] as const

/** What a client sends to ask. */
export const question = { content: Content, settings: Schema.optionalKey(AskSettings) }

const exchangeHeaders = { location: Schema.String, ...Replayed, ...quotaHeaders }
export const answered = HttpApiSchema.WithHeaders(Answered.pipe(HttpApiSchema.status(201)), exchangeHeaders)
export const accepted = HttpApiSchema.WithHeaders(Accepted.pipe(HttpApiSchema.status(202)), {
  ...exchangeHeaders,
  "retry-after": Schema.String
})
const cacheHeaders = { etag: Schema.String, "cache-control": Schema.Literal("private, no-cache"), "cache-status": Schema.String }
const retryAfter = { "retry-after": Schema.optionalKey(Schema.String) }
export const withThoughts = {
  thoughts: Schema.optionalKey(Schema.Literals(["true", "false"])).annotate({
    description: "Whether messages include their `thoughts`.",
    default: "false"
  })
}
const branch = (whenOmitted: "active" | "all") => ({
  branch: Schema.optionalKey(Schema.Literals(["active", "all"])).annotate({
    description: "`active`: the messages from the first question to the head (`headId`). `all`: also those of other branches.",
    default: whenOmitted
  })
})
const asFile = { "content-disposition": Schema.String }
const exampleTag = '"Zr0Qx1n8m2Yb4Wc6Ve5Ta7Sd9Uf"'
export class ChatApi extends HttpApiGroup.make("chat")
  .add(
    HttpApiEndpoint.post("createChatroom", "/", {
      headers: IdempotencyKey,
      payload: CreateChatroom,
      success: HttpApiSchema.WithHeaders(NewChatroom.pipe(HttpApiSchema.status(201)), {
        location: Schema.String,
        ...Replayed
      }),
      error: [TooManyChatrooms, ChatroomsLimited, IdempotencyKeyReused, ModelNotInPlan, ToolNotInPlan]
    }).annotateMerge(
      describe(
        "createChatroom",
        "Create a chatroom",
        "Without a title it is called `New chat`. Its first question's first words then become its title, which a model may replace; `titleSource` says where the title comes from. A user may create 1,200 chatrooms an hour."
      )
    ),
    HttpApiEndpoint.get("listChatrooms", "/", {
      query: {
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Cursor),
        archived: Schema.optionalKey(Schema.Literals(["true", "false"])).annotate({
          description: "Archived rooms instead of the others.",
          default: "false"
        }),
        q: Schema.optionalKey(
          text(1, 120).annotate({ description: "Only rooms whose title contains this text.", examples: ["loom"] })
        )
      },
      headers: {
        "if-none-match": Schema.optionalKey(
          Schema.String.annotate({ description: "The `ETag` of the page that the client has.", examples: [exampleTag] })
        )
      },
      success: [
        HttpApiSchema.WithHeaders(page(Chatroom, "ChatroomPage", exampleChatroom), { ...linkHeader, ...cacheHeaders }),
        HttpApiSchema.WithHeaders(
          HttpApiSchema.Empty(304).annotate({ description: "The client's page is up to date." }),
          cacheHeaders
        )
      ]
    }).annotateMerge(
      describe(
        "listChatrooms",
        "List chatrooms",
        "Pinned rooms first, then by latest activity. Archived rooms only with `archived=true`."
      )
    ),
    HttpApiEndpoint.get("getChatroom", "/:id", {
      params: room,
      success: ChatroomWithMessages,
      error: ChatroomNotFound
    }).annotateMerge(describe("getChatroom", "Get a chatroom with its last messages", "The last 50 messages, oldest first.")),
    HttpApiEndpoint.patch("updateChatroom", "/:id", {
      params: room,
      payload: UpdateChatroom,
      success: Chatroom,
      error: [ChatroomNotFound, NotFinished, ModelNotInPlan, ToolNotInPlan]
    }).annotateMerge(
      describe(
        "updateChatroom",
        "Change a chatroom",
        "Omitted fields are unchanged. `headId` selects another branch; 409 `not_finished` while a reply of the room has not ended."
      )
    ),
    HttpApiEndpoint.delete("deleteChatroom", "/:id", {
      params: room,
      success: HttpApiSchema.NoContent,
      error: ChatroomNotFound
    })
      .annotateMerge(describe("deleteChatroom", "Delete a chatroom", "Deletes its messages and stops a running reply."))
      .annotate(AllowsKey, false),
    HttpApiEndpoint.get("listMessages", "/:id/messages", {
      params: room,
      query: {
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Cursor),
        before: Schema.optionalKey(MessageId.annotate({ description: "Only messages before this one." })),
        after: Schema.optionalKey(MessageId.annotate({ description: "Only messages after this one, oldest first." })),
        ...branch("all"),
        ...withThoughts
      },
      success: HttpApiSchema.WithHeaders(page(Message, "MessagePage", exampleReply), linkHeader),
      error: ChatroomNotFound
    }).annotateMerge(
      describe(
        "listMessages",
        "List the messages of a chatroom",
        "Newest first. With `after`: the messages after that one, oldest first. A page ends after 1 MiB of text, so it can have fewer messages than `limit`; `nextCursor` continues. With `branch=active`, `before` and `after` name messages of the active branch."
      )
    ),
    HttpApiEndpoint.post("sendMessage", "/:id/message", {
      params: room,
      headers: { ...IdempotencyKey, prefer: Schema.optionalKey(Prefer) },
      query: { wait: Schema.optionalKey(Wait) },
      payload: SendMessage,
      success: [answered, accepted],
      error: [ChatroomNotFound, ...refusals, AttachmentsNotInPlan, AttachmentsTooLarge]
    }).annotateMerge(
      describe(
        "sendMessage",
        "Ask a question",
        "202 when the question and its waiting reply are stored. With `?wait=N` or `Prefer: wait=N`: 201 if the reply ends within N seconds."
      )
    ),
    HttpApiEndpoint.get("latest", "/:id/latest", {
      params: room,
      query: { wait: Schema.optionalKey(Wait) },
      success: HttpApiSchema.WithHeaders(Latest, retryAfter),
      error: [ChatroomNotFound, MessageNotFound]
    }).annotateMerge(describe("getLatest", "Get the newest question and its reply", "Both are null in an empty room.")),
    HttpApiEndpoint.get("getMessage", "/:id/message/:mid", {
      params: message,
      query: { wait: Schema.optionalKey(Wait) },
      success: HttpApiSchema.WithHeaders(Message, retryAfter),
      error: [ChatroomNotFound, MessageNotFound]
    }).annotateMerge(
      describe(
        "getMessage",
        "Get a message",
        "The content of a reply is empty until it has ended. Its stream has the text so far."
      )
    ),
    HttpApiEndpoint.get("exportChatroom", "/:id/export", {
      params: room,
      query: {
        format: Schema.optionalKey(Schema.Literals(["json", "markdown"])).annotate({
          description: "Format of the export.",
          default: "json"
        }),
        ...branch("active"),
        ...withThoughts,
        ...withTicket
      },
      success: [
        HttpApiSchema.WithHeaders(ChatroomExport, asFile),
        Markdown.pipe(HttpApiSchema.asText({ contentType: "text/markdown" }))
      ],
      error: [ChatroomNotFound, TooManyRequests]
    })
      .annotateMerge(
        describe(
          "exportChatroom",
          "Export a chatroom with its messages",
          "The active branch, or with `branch=all` all messages; `parentId` is the message before. JSON, or text/markdown with `format=markdown`. A user may run one export at a time, of a room or of the account; further ones wait up to three seconds, then get 429."
        )
      )
      .annotate(AcceptsTicket, "download"),
    HttpApiEndpoint.post("createChatroomExportTicket", "/:id/export-ticket", {
      params: room,
      success: Ticket.pipe(HttpApiSchema.status(201)),
      error: [ChatroomNotFound, TooManyAttempts]
    }).annotateMerge(
      describe(
        "createChatroomExportTicket",
        "Create a ticket for the export of a chatroom",
        "For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour."
      )
    )
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." })) {}
