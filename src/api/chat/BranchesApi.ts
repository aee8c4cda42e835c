import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { IdempotencyKey, IdempotencyKeyReused, Replayed } from "../Idempotency.ts"
import { accepted, answered, message, Prefer, question, refusals, room, Wait } from "./ChatApi.ts"
import {
  ChatroomNotFound,
  ChatroomsLimited,
  MessageNotFound,
  NotAQuestion,
  NotFinished,
  TooManyBranches,
  TooManyChatrooms,
  TooManyMessages
} from "./ChatErrors.ts"
import { Chatroom, ForkChatroom } from "./Chatroom.ts"

const EditBody = Schema.Struct(question).annotate({
  identifier: "EditMessage",
  examples: [{ content: "What does a difference engine weave?" }]
})

/** Branches of a room: other wordings of a question, copies of a branch, deletion of one. */
export class BranchesApi extends HttpApiGroup.make("branches")
  .add(
    HttpApiEndpoint.post("editMessage", "/:id/message/:mid/edit", {
      params: message,
      headers: { ...IdempotencyKey, prefer: Schema.optionalKey(Prefer) },
      query: { wait: Schema.optionalKey(Wait) },
      payload: EditBody,
      success: [answered, accepted],
      error: [ChatroomNotFound, MessageNotFound, NotAQuestion, NotFinished, TooManyBranches, ...refusals]
    }).annotateMerge(
      describe(
        "editMessage",
        "Edit a question",
        "Asks a new version of the question, which takes quota like a new question. It follows the same reply as the old version and begins a branch, which becomes the active one; the old version and the messages after it stay (`versions`, `headId`). 409 `not_finished` while a reply to the old version, or to a later question after it, has not ended: cancel that reply first."
      )
    ),
    HttpApiEndpoint.post("forkChatroom", "/:id/fork", {
      params: room,
      headers: IdempotencyKey,
      payload: ForkChatroom,
      success: HttpApiSchema.WithHeaders(Chatroom.pipe(HttpApiSchema.status(201)), { location: Schema.String, ...Replayed }),
      error: [
        ChatroomNotFound,
        MessageNotFound,
        NotFinished,
        TooManyMessages,
        TooManyChatrooms,
        ChatroomsLimited,
        IdempotencyKeyReused
      ]
    }).annotateMerge(
      describe(
        "forkChatroom",
        "Copy a branch into a new chatroom",
        "The new chatroom has the same settings, and copies of the messages from the first question to `messageId`, at most 2,000. It takes no quota. Costs and feedback are not copied."
      )
    ),
    HttpApiEndpoint.delete("deleteMessage", "/:id/message/:mid", {
      params: message,
      success: HttpApiSchema.NoContent,
      error: [ChatroomNotFound, MessageNotFound, NotAQuestion, NotFinished]
    })
      .annotateMerge(
        describe(
          "deleteMessage",
          "Delete a question and everything after it",
          "Deletes the question, its replies, and all messages that follow them. If the head is deleted, the newest message beside the question becomes the head."
        )
      )
      .annotate(AllowsKey, false)
  )
  .prefix("/chatroom")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotate(AllowsKey, true)
  .annotateMerge(OpenApi.annotations({ title: "Chat", description: "Chatrooms, questions and Gemini's replies." })) {}
