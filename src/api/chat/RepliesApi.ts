import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { IdempotencyKey, IdempotencyKeyReused } from "../Idempotency.ts"
import { accepted, message } from "./ChatApi.ts"
import {
  AlreadyFinished,
  ChatroomNotFound,
  MessageNotFound,
  NotFinished,
  QuotaExceededWithHeaders,
  RoomBusy
} from "./ChatErrors.ts"
import { ContextReceipt } from "./ContextReceipt.ts"
import { Message } from "./Message.ts"
import { StreamsBusy, TooManyStreams } from "./StreamErrors.ts"

const StreamPosition = Schema.String.check(
  Schema.isPattern(/^\d{1,9}:\d{1,9}$/u, { message: "must be attempt:offset, the id of an event" })
).annotate({ description: "The id of the last event that was read.", examples: ["1:36"] })

/** What can be done with a reply: watch it, stop it, make another, ask what it was made of. */
export class RepliesApi extends HttpApiGroup.make("replies")
  .add(
    HttpApiEndpoint.get("streamMessage", "/:id/message/:mid/stream", {
      params: message,
      query: { after: Schema.optionalKey(StreamPosition) },
      headers: { "last-event-id": Schema.optionalKey(StreamPosition) },
      success: [
        HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" }),
        HttpApiSchema.NoContent.annotate({ description: "The reply is finished and fully read." })
      ],
      error: [ChatroomNotFound, MessageNotFound, TooManyStreams, StreamsBusy]
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
      success: accepted,
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
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." })) {}
