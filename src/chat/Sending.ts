import { createHash } from "node:crypto"
import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import type { QuotaState } from "../api/account/Usage.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer } from "../queue/Announcer.ts"
import { iso } from "../api/Schemas.ts"
import { ChatroomNotFound, MessageNotFound, NotFinished, QuotaExceeded, RoomBusy } from "../api/chat/ChatErrors.ts"
import { IdempotencyKeyReused } from "../api/Idempotency.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { Message, MessageId } from "../api/chat/Message.ts"
import { newQuestion, newReply } from "./MessageRow.ts"
import { Messages } from "./Messages.ts"
import { Quota, quotaState, secondsUntil } from "./Quota.ts"
import { topicOf } from "../database/Topics.ts"

/** Questions of a room that may be unanswered at once. */
const maximumUnanswered = 4
export interface Sent {
  readonly message: Message
  readonly reply: Message
  readonly quota: QuotaState
  readonly replayed: boolean
  /** 202, or the status the first answer to this idempotency key had. */
  readonly status: number
}

/** What `send_message` answers. */
interface Outcome {
  readonly outcome:
    | "accepted"
    | "replayed"
    | "chatroom_not_found"
    | "message_not_found"
    | "not_finished"
    | "idempotency_key_reused"
    | "room_busy"
    | "quota_exceeded"
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: Date
  readonly dailyLimit: number | null
  readonly used: number
  readonly resetsAt: Date
  readonly status: number
  readonly isHead: boolean
}

/** Accepts questions. */
export class Sending extends Context.Service<
  Sending,
  {
    /**
     * Accepts a question: one transaction takes the room, the idempotency key and the quota, and stores the
     * question with its waiting reply. One round trip; whatever is refused has stored nothing.
     */
    readonly send: (
      userId: UserId,
      roomId: ChatroomId,
      content: string,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<Sent, ChatroomNotFound | IdempotencyKeyReused | RoomBusy | QuotaExceeded>
    /** A new reply to a question that was answered before; takes quota and an idempotency key as `send` does. */
    readonly regenerate: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<Sent, ChatroomNotFound | MessageNotFound | NotFinished | IdempotencyKeyReused | RoomBusy | QuotaExceeded>
    /** Remembers that a waiting send was answered with the finished reply, for later replays of its key. */
    readonly rememberCompleted: (userId: UserId, idempotencyKey: string) => Effect.Effect<void>
  }
>()("chat-backend/chat/Sending") {
  static readonly layer = Layer.effect(
    Sending,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const quota = yield* Quota
      const messages = yield* Messages
      const { appUrl } = yield* AppConfig

      /** `again` is the reply, or the question, to be answered anew; then there is no content. */
      const accept = (userId: UserId, roomId: ChatroomId, content: string, again: MessageId | null, key: string | null) => {
        const request = `${roomId}\n${again ?? ""}\n${content}`
        const hash = key === null ? null : createHash("sha256").update(request).digest("base64url")
        return sql<Outcome>`
          select * from send_message(${userId}, ${roomId}, ${uuid()}, ${uuid()}, ${content},
            ${quota.limits.basic}, ${quota.limits.pro}, ${maximumUnanswered}, ${key}, ${hash}, ${again}::uuid)
        `.pipe(
          retryConflicts,
          Effect.orDie,
          Effect.flatMap(([row]) => (row === undefined ? Effect.die("send_message returned nothing") : Effect.succeed(row)))
        )
      }

      const refusal = Effect.fnUntraced(function* (row: Outcome) {
        switch (row.outcome) {
          case "chatroom_not_found":
            return yield* new ChatroomNotFound()
          case "message_not_found":
            return yield* new MessageNotFound()
          case "not_finished":
            return yield* new NotFinished()
          case "idempotency_key_reused":
            return yield* new IdempotencyKeyReused()
          case "room_busy":
            return yield* new RoomBusy()
          default: {
            const resetsAt = iso(row.resetsAt)
            const retryAfter = secondsUntil(resetsAt, yield* Clock.currentTimeMillis)
            const upgradeUrl = `${appUrl}/subscribe/pro`
            return yield* new QuotaExceeded({ limit: row.dailyLimit ?? 0, resetsAt, upgradeUrl, retryAfter })
          }
        }
      })

      const submit = Effect.fnUntraced(function* (
        userId: UserId,
        roomId: ChatroomId,
        content: string,
        again: MessageId | null,
        key: string | null
      ) {
        const row = yield* accept(userId, roomId, content, again, key)
        if (row.outcome !== "accepted" && row.outcome !== "replayed") return yield* refusal(row)
        const ids = { roomId, questionId: row.questionId, replyId: row.replyId, sentAt: iso(row.sentAt) }
        if (row.outcome === "accepted") {
          yield* announcer.announce({
            replies: row.isHead ? [{ userId, replyId: row.replyId }] : [],
            topics: [topicOf("chatrooms", userId)]
          })
        }
        return {
          message: newQuestion(ids, content),
          reply: newReply(ids),
          quota: quotaState(row.dailyLimit, row.used, iso(row.resetsAt)),
          replayed: row.outcome === "replayed",
          status: row.status
        }
      })

      const send: Sending["Service"]["send"] = Effect.fn("Sending.send")((userId, roomId, content, key) =>
        submit(userId, roomId, content, null, key ?? null).pipe(
          // Only a regeneration names a message.
          Effect.catchTags({ MessageNotFound: Effect.die, NotFinished: Effect.die })
        )
      )

      const regenerate: Sending["Service"]["regenerate"] = Effect.fn("Sending.regenerate")(function* (userId, roomId, id, key) {
        const sent = yield* submit(userId, roomId, "", id, key ?? null)
        const question = yield* messages.get(userId, roomId, sent.message.id)
        return { ...sent, message: question }
      })

      const rememberCompleted: Sending["Service"]["rememberCompleted"] = Effect.fn("Sending.rememberCompleted")(function* (
        userId,
        key
      ) {
        yield* sql`update idempotency_keys set status = 201 where user_id = ${userId} and route = 'sendMessage' and key = ${key}`
      }, Effect.orDie)

      return Sending.of({ send, regenerate, rememberCompleted })
    })
  )
}
