import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { QuotaState } from "../api/account/Usage.ts"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import type {
  ChatroomNotFound,
  MessageNotFound,
  NotAQuestion,
  NotFinished,
  RoomBusy,
  TooManyBranches
} from "../api/chat/ChatErrors.ts"
import { ChatroomId } from "../api/chat/Chatroom.ts"
import type { Message, MessageId } from "../api/chat/Message.ts"
import type { FileId } from "../api/files/File.ts"
import type { AttachmentsNotInPlan, AttachmentsTooLarge } from "../api/files/FileErrors.ts"
import type { ContextTooLong } from "../api/openai/CompletionErrors.ts"
import { AppConfig } from "../config/Settings.ts"
import { topicOf } from "../database/Topics.ts"
import { checkFormat } from "../models/Models.ts"
import type { ChosenSettings } from "../models/Settings.ts"
import { Spending } from "../models/Spending.ts"
import { currentTraceparent } from "../ops/Tracing.ts"
import { Announcer } from "../queue/Announcer.ts"
import { makeAccept } from "./Acceptance.ts"
import type { GivenInput } from "./GivenInput.ts"
import { Messages } from "./Messages.ts"
import { exchangeOf } from "./NewExchange.ts"
import { type Refusal, refuse } from "./Refusals.ts"
import { hashOf } from "./RequestHash.ts"
import type { AcceptedQuestion, Taken } from "./SendMessage.ts"

/** An accepted question with its reply. */
export interface Sent {
  readonly message: Message
  readonly reply: Message
  readonly quota: QuotaState
  readonly replayed: boolean
  /** 202, or the status the first answer to this idempotency key had. */
  readonly status: number
}

export type Asker = Pick<CurrentSession, "userId" | "tier">

/** A question, or another reply to one, as its user asks for it. */
export interface Asked {
  readonly roomId: ChatroomId
  readonly settings?: ChosenSettings | undefined
  readonly attachments?: ReadonlyArray<FileId> | undefined
  readonly idempotencyKey?: string | undefined
}

/** A question that brings the turns before it. */
export interface Completion {
  readonly content: string
  readonly input: GivenInput
  /** Tokens of the whole prompt, by an estimate. */
  readonly tokens: number
  readonly settings: ChosenSettings
  /** The files of all turns. */
  readonly attachments: ReadonlyArray<FileId>
  readonly idempotencyKey: string | undefined
  /** Of the request, which a repetition of the key must equal. */
  readonly hash: string
}

/** Accepts questions. */
export class Sending extends Context.Service<
  Sending,
  {
    /**
     * Accepts a question: one transaction takes the room, the idempotency key, the quota and the budget, and stores the
     * question with its waiting reply. One round trip; whatever is refused has stored nothing.
     */
    readonly send: (user: Asker, question: Asked & { readonly content: string }) => Effect.Effect<Sent, Refusal>
    /** A new reply to a question that was answered before; takes what `send` does. */
    readonly regenerate: (
      user: Asker,
      request: Asked & { readonly id: MessageId }
    ) => Effect.Effect<Sent, Exclude<Refusal, AttachmentsNotInPlan | AttachmentsTooLarge> | MessageNotFound | NotFinished>
    /** The question in other words, on a branch of its own; takes what `send` does. */
    readonly edit: (
      user: Asker,
      request: Asked & { readonly id: MessageId; readonly content: string }
    ) => Effect.Effect<
      Sent,
      | Exclude<Refusal, AttachmentsNotInPlan | AttachmentsTooLarge>
      | MessageNotFound
      | NotAQuestion
      | NotFinished
      | TooManyBranches
    >
    /**
     * Accepts a question that brings the turns before it, in a room of its own that no list shows; takes what `send` does.
     * Fails when the prompt is longer than the model's context.
     */
    readonly complete: (
      user: Asker,
      completion: Completion
    ) => Effect.Effect<Sent, Exclude<Refusal, ChatroomNotFound | RoomBusy> | ContextTooLong | Unauthenticated>
    /** Remembers that a waiting request was answered with the finished reply, for later replays of its key. */
    readonly rememberCompleted: (
      userId: UserId,
      route: "sendMessage" | "editMessage",
      idempotencyKey: string
    ) => Effect.Effect<void>
  }
>()("chat-backend/chat/Sending") {
  static readonly layer = Layer.effect(
    Sending,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const messages = yield* Messages
      const spending = yield* Spending
      const { autoTitles, frontEnd } = yield* AppConfig
      const accept = yield* makeAccept

      /** Wakes a worker for the reply, if it is its turn, and for the title of the room, if it has none. */
      const announce = Effect.fnUntraced(function* (
        accepted: AcceptedQuestion,
        { isChat, roomId, userId }: { readonly userId: UserId; readonly roomId: ChatroomId; readonly isChat: boolean }
      ) {
        const { isHead, isTitled, priority, questionId, replyId } = accepted
        yield* announcer.announce({
          replies: isHead ? [{ userId, replyId, priority }] : [],
          titles:
            isTitled && autoTitles === "model"
              ? [{ userId, roomId, questionId, replyId, traceparent: yield* currentTraceparent }]
              : [],
          topics: isChat ? [topicOf("chatrooms", userId)] : []
        })
      })

      /** The way of every question: `again` is the message that is asked again, `completion` what comes from outside of chats. */
      const submit = Effect.fnUntraced(function* (
        { tier, userId }: Asker,
        { attachments = [], idempotencyKey, roomId, settings = {} }: Asked,
        content: string,
        again: MessageId | null,
        completion?: Completion
      ) {
        yield* checkFormat(settings.responseFormat)
        const key = idempotencyKey ?? null
        const hashOfRequest = () => completion?.hash ?? hashOf([roomId, again ?? "", content, ...attachments], settings)
        const hash = key === null ? null : hashOfRequest()
        yield* spending.check
        const files = attachments.length === 0 ? null : attachments
        const asked = { userId, roomId, content, again, settings, attachments: files, key, hash, given: completion }
        const sent = yield* accept(asked, tier)
        const answer = (taken: Taken) => exchangeOf(taken, { roomId, content, isReplyAlone: again !== null && content === "" })
        switch (sent.outcome) {
          case "accepted":
            yield* announce(sent, { userId, roomId, isChat: completion === undefined })
            return { ...answer(sent), replayed: false, status: 202 }
          case "replayed":
            return { ...answer(sent), replayed: true, status: sent.status }
          default:
            return yield* refuse(sent, again !== null, frontEnd.upgrade)
        }
      })

      const send: Sending["Service"]["send"] = Effect.fn("Sending.send")((user, question) =>
        submit(user, question, question.content, null).pipe(
          // Only a question that is asked again names a message.
          Effect.catchTags({
            MessageNotFound: Effect.die,
            NotAQuestion: Effect.die,
            NotFinished: Effect.die,
            TooManyBranches: Effect.die,
            // Chats fit their history into the context.
            ContextTooLong: Effect.die
          })
        )
      )

      const edit: Sending["Service"]["edit"] = Effect.fn("Sending.edit")((user, request) =>
        submit(user, request, request.content, request.id).pipe(
          // The question keeps its files, with which it has been accepted.
          Effect.catchTags({ AttachmentsNotInPlan: Effect.die, AttachmentsTooLarge: Effect.die, ContextTooLong: Effect.die })
        )
      )

      const regenerate: Sending["Service"]["regenerate"] = Effect.fn("Sending.regenerate")(function* (user, request) {
        const sent = yield* submit(user, request, "", request.id).pipe(
          // The question has been accepted with its files.
          Effect.catchTags({
            NotAQuestion: Effect.die,
            TooManyBranches: Effect.die,
            AttachmentsNotInPlan: Effect.die,
            AttachmentsTooLarge: Effect.die,
            ContextTooLong: Effect.die
          })
        )
        const question = yield* messages.get(user.userId, request.roomId, sent.message.id)
        return { ...sent, message: question }
      })

      const complete: Sending["Service"]["complete"] = Effect.fn("Sending.complete")((user, completion) => {
        const roomId = ChatroomId.make(uuid())
        return submit(user, { ...completion, roomId }, completion.content, null, completion).pipe(
          // The room is new.
          Effect.catchTags({
            ChatroomNotFound: () => Effect.fail(Unauthenticated.because("session_revoked")),
            RoomBusy: Effect.die,
            MessageNotFound: Effect.die,
            NotAQuestion: Effect.die,
            NotFinished: Effect.die,
            TooManyBranches: Effect.die
          })
        )
      })

      const rememberCompleted: Sending["Service"]["rememberCompleted"] = Effect.fn("Sending.rememberCompleted")(function* (
        userId,
        route,
        key
      ) {
        yield* sql`update idempotency_keys set status = 201 where user_id = ${userId} and route = ${route} and key = ${key}`
      }, Effect.orDie)

      return Sending.of({ send, edit, regenerate, complete, rememberCompleted })
    })
  )
}
