import { createHash } from "node:crypto"
import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import type { QuotaState } from "../api/account/Usage.ts"
import { AppConfig } from "../config/Settings.ts"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer } from "../queue/Announcer.ts"
import { isoText } from "../api/Schemas.ts"
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

/** What an accepted question has taken. Times are ISO 8601 text, as JSON has them. */
interface Taken {
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
  readonly limit: number | null
  readonly used: number
  readonly resetsAt: string
}

/** What `send_message` returns. */
export type SendOutcome =
  | (Taken & { readonly outcome: "accepted"; readonly isHead: boolean; readonly priority: number })
  | (Taken & { readonly outcome: "replayed"; readonly status: number })
  | { readonly outcome: "chatroom_not_found" }
  | { readonly outcome: "message_not_found" }
  | { readonly outcome: "not_finished" }
  | { readonly outcome: "idempotency_key_reused" }
  | { readonly outcome: "room_busy" }
  | { readonly outcome: "quota_exceeded"; readonly limit: number; readonly resetsAt: string }

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
      const { appUrl, userConcurrency } = yield* AppConfig

      /** `again` is the reply, or the question, that gets another reply; then there is no content. */
      const accept = (userId: UserId, roomId: ChatroomId, content: string, again: MessageId | null, key: string | null) => {
        const request = `${roomId}\n${again ?? ""}\n${content}`
        const hash = key === null ? null : createHash("sha256").update(request).digest("base64url")
        return sql<{ sent: SendOutcome }>`
          select send_message(p_user => ${userId}, p_room => ${roomId}, p_question => ${uuid()}, p_reply => ${uuid()},
            p_content => ${content}, p_again => ${again}::uuid, p_basic_limit => ${quota.limits.basic},
            p_pro_limit => ${quota.limits.pro}, p_room_limit => ${maximumUnanswered},
            p_basic_running => ${userConcurrency.basic}, p_pro_running => ${userConcurrency.pro},
            p_key => ${key}, p_hash => ${hash}, p_key_lifetime => ${keyLifetime}::text::interval) as sent
        `.pipe(
          retryConflicts(sql),
          Effect.orDie,
          Effect.flatMap(([row]) => (row === undefined ? Effect.die("send_message returned nothing") : Effect.succeed(row.sent)))
        )
      }

      const exceeded = Effect.fnUntraced(function* (limit: number, resetsAt: string) {
        const retryAfter = secondsUntil(resetsAt, yield* Clock.currentTimeMillis)
        return yield* new QuotaExceeded({ limit, resetsAt, upgradeUrl: `${appUrl}/subscribe/pro`, retryAfter })
      })

      const submit = Effect.fnUntraced(function* (
        userId: UserId,
        roomId: ChatroomId,
        content: string,
        again: MessageId | null,
        key: string | null
      ) {
        const sent = yield* accept(userId, roomId, content, again, key)
        const answer = ({ limit, questionId, replyId, resetsAt, sentAt, used }: Taken) => {
          const ids = { roomId, questionId, replyId, sentAt: isoText(sentAt) }
          return { message: newQuestion(ids, content), reply: newReply(ids), quota: quotaState(limit, used, isoText(resetsAt)) }
        }
        switch (sent.outcome) {
          case "accepted":
            yield* announcer.announce({
              replies: sent.isHead ? [{ userId, replyId: sent.replyId, priority: sent.priority }] : [],
              topics: [topicOf("chatrooms", userId)]
            })
            return { ...answer(sent), replayed: false, status: 202 }
          case "replayed":
            return { ...answer(sent), replayed: true, status: sent.status }
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
          case "quota_exceeded":
            return yield* exceeded(sent.limit, isoText(sent.resetsAt))
          default:
            return yield* Effect.die(new Error(`send_message returned ${JSON.stringify(sent satisfies never)}`))
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
