import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { IdempotencyKey } from "../Idempotency.ts"
import { accepted, message, refusals } from "./ChatApi.ts"
import { AlreadyFinished, ChatroomNotFound, MessageNotFound, NotAReply, NotFinished } from "./ChatErrors.ts"
import { ContextReceipt } from "./ContextReceipt.ts"
import { TooManyAttempts } from "../auth/AuthErrors.ts"
import { AcceptsTicket, Ticket, withTicket } from "../Ticket.ts"
import { TooManyRequests } from "../Problems.ts"
import { GiveFeedback, Message } from "./Message.ts"
import { AskSettings } from "./Settings.ts"
import { StreamsBusy, TooManyStreams } from "./StreamErrors.ts"

const StreamPosition = Schema.String.check(
  Schema.isPattern(/^\d{1,9}:\d{1,9}$/u, { message: "must be attempt:offset, the id of an event" })
).annotate({ description: "The id of the last event that the client has read.", examples: ["1:36"] })

/** The `Cache-Control` of streams: nothing between server and client may keep, collect or compress the events. */
export const streamCacheControl = "no-cache, no-transform"

const RegenerateBody = Schema.Struct({ settings: Schema.optionalKey(AskSettings) }).annotate({
  identifier: "RegenerateMessage",
  examples: [{ settings: { model: "gemini-3.5-flash" } }]
})

/** Operations on a reply: stream, stop, regenerate, rate, show its context. */
export class RepliesApi extends HttpApiGroup.make("replies")
  .add(
    HttpApiEndpoint.get("streamMessage", "/:id/message/:mid/stream", {
      params: message,
      query: { after: Schema.optionalKey(StreamPosition), ...withTicket },
      headers: { "last-event-id": Schema.optionalKey(StreamPosition) },
      success: [
        HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" }),
        HttpApiSchema.NoContent.annotate({ description: "The reply has ended and the client has read all of it." })
      ],
      error: [ChatroomNotFound, MessageNotFound, TooManyStreams, StreamsBusy]
    })
      .annotateMerge(
        describe(
          "streamMessage",
          "Stream a reply",
          "Server-sent events: `status`, `delta`, `replace` (a new attempt starts over), `thought` (with `thinking.summaries`), `title` (the room got an automatic title), `usage`, `sources` (of a reply made with tools), and at the end one of `completed`, `failed`, `cancelled` with the Message. Skip events with other names: later releases may add some. To resume, send the id of the last event as `Last-Event-ID` or `?after=`. 204 if the reply has ended and the client has read all of it. A browser's `EventSource` cannot send a token, and opens the `url` of a stream ticket instead."
        )
      )
      .annotate(AcceptsTicket, "stream"),
    HttpApiEndpoint.post("createStreamTicket", "/:id/message/:mid/stream-ticket", {
      params: message,
      success: Ticket.pipe(HttpApiSchema.status(201)),
      error: [ChatroomNotFound, MessageNotFound, TooManyAttempts]
    }).annotateMerge(
      describe(
        "createStreamTicket",
        "Create a ticket for a stream",
        "For `EventSource`, which cannot send headers. The ticket opens this stream once, within 60 seconds. After that, reconnects with `Last-Event-ID`, which `EventSource` sends, are accepted until ten minutes after the ticket's creation, or until the session ends. A user may create 300 tickets an hour."
      )
    ),
    HttpApiEndpoint.post("cancelMessage", "/:id/message/:mid/cancel", {
      params: message,
      success: Message,
      error: [ChatroomNotFound, MessageNotFound, AlreadyFinished]
    }).annotateMerge(describe("cancelMessage", "Stop a reply", "Keeps the text written so far.")),
    HttpApiEndpoint.post("regenerateMessage", "/:id/message/:mid/regenerate", {
      params: message,
      headers: IdempotencyKey,
      payload: RegenerateBody,
      success: accepted,
      error: [ChatroomNotFound, MessageNotFound, NotFinished, ...refusals]
    }).annotateMerge(
      describe(
        "regenerateMessage",
        "Make another reply to a question",
        "Takes quota like a new question. The old reply stays readable."
      )
    ),
    HttpApiEndpoint.put("rateMessage", "/:id/message/:mid/feedback", {
      params: message,
      payload: GiveFeedback,
      success: Message,
      error: [ChatroomNotFound, MessageNotFound, NotAReply]
    }).annotateMerge(
      describe(
        "rateMessage",
        "Rate a reply",
        "Replaces the earlier feedback. Operators see it with the ids of the user, the room and the reply, without their texts."
      )
    ),
    HttpApiEndpoint.get("getMessageContext", "/:id/message/:mid/context", {
      params: message,
      success: ContextReceipt,
      error: [ChatroomNotFound, MessageNotFound, TooManyRequests]
    }).annotateMerge(
      describe(
        "getMessageContext",
        "Get what was sent to the model for a reply",
        "Before the first attempt: what would be sent now. A user may run one such request at a time; further ones wait up to three seconds, then get 429."
      )
    )
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." })) {}
