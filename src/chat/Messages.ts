import { createHash } from "node:crypto"
import { Clock, Context, Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { QuotaState, UserId } from "../auth/User.ts"
import { AppConfig } from "../Config.ts"
import { Notifications } from "../database/Notifications.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Queue } from "../queue/Queue.ts"
import { iso, isoOrNull } from "../Text.ts"
import {
  AlreadyFinished, ChatroomNotFound, IdempotencyKeyReused, MessageNotFound, NotFinished, QuotaExceeded, RoomBusy
} from "./ChatErrors.ts"
import type { ChatroomId } from "./Chatroom.ts"
import { listTopic } from "./Chatrooms.ts"
import { hasEnded, type Message, type MessageId } from "./Message.ts"
import { columns, type MessageRow, newQuestion, newReply, toMessage } from "./MessageRow.ts"
import { Quota, quotaState, secondsUntil } from "./Quota.ts"

/** Questions of a room that may be unanswered at once. */
const maximumUnanswered = 4
/** A waiting request looks again after this long, should its wake-up have been lost. */
const recheck = 2_000

export interface Sent {
  readonly message: Message
  readonly reply: Message
  readonly quota: QuotaState
  readonly replayed: boolean
  /** 202, or the status the first answer to this idempotency key had. */
  readonly status: number
}

export interface HistoryQuery {
  readonly limit: number
  readonly before?: string | undefined
  readonly after?: string | undefined
}

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

/** Seconds a worker has to end a reply that was cancelled. */
const workerAnswers = 2

/** The topic that tells a worker to stop a reply. */
export const stopTopic = (replyId: string) => `stop:${replyId}`
/** The topic of a reply: published when it changes, above all when it has ended. */
export const replyTopic = (replyId: string) => `reply:${replyId}`

export class Messages extends Context.Service<
  Messages,
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
    ) => Effect.Effect<
      Sent,
      ChatroomNotFound | MessageNotFound | NotFinished | IdempotencyKeyReused | RoomBusy | QuotaExceeded
    >
    /** Stops a reply and keeps what was written of it. */
    readonly cancel: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound | AlreadyFinished>
    /** A message, and when its next attempt is due. */
    readonly state: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<{ readonly message: Message; readonly retryAt: string | null }, ChatroomNotFound | MessageNotFound>
    readonly get: (userId: UserId, roomId: ChatroomId, id: MessageId) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>
    /** The message as soon as it has ended, or as it is after `seconds`. */
    readonly settled: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId,
      seconds: number
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>
    /** Remembers that a waiting send was answered with the finished reply, for later replays of its key. */
    readonly answeredFinished: (userId: UserId, idempotencyKey: string) => Effect.Effect<void>
    /** The room's newest question and its newest reply. */
    readonly latest: (
      userId: UserId,
      roomId: ChatroomId
    ) => Effect.Effect<{ readonly message: Message | null; readonly reply: Message | null }, ChatroomNotFound>
    /** Newest first; with `after`, what came after it, oldest first. */
    readonly history: (
      userId: UserId,
      roomId: ChatroomId,
      query: HistoryQuery
    ) => Effect.Effect<{ readonly messages: Array<Message>; readonly hasMore: boolean }, ChatroomNotFound>
  }
>()("chat-backend/chat/Messages") {
  static readonly layer = Layer.effect(
    Messages,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* Queue
      const quota = yield* Quota
      const notifications = yield* Notifications
      const { appUrl } = yield* AppConfig
      const selected = sql.literal(columns)

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
          yield* queue.announce({
            replies: row.isHead ? [{ userId, replyId: row.replyId }] : [],
            topics: [listTopic(userId)]
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

      const send: Messages["Service"]["send"] = Effect.fn("Messages.send")((userId, roomId, content, key) =>
        submit(userId, roomId, content, null, key ?? null).pipe(
          // Only a regeneration names a message.
          Effect.catchTags({ MessageNotFound: Effect.die, NotFinished: Effect.die })
        )
      )

      const regenerate: Messages["Service"]["regenerate"] = Effect.fn("Messages.regenerate")(function* (userId, roomId, id, key) {
        const sent = yield* submit(userId, roomId, "", id, key ?? null)
        const question = yield* get(userId, roomId, sent.message.id)
        return { ...sent, message: question }
      })

      const cancel: Messages["Service"]["cancel"] = Effect.fn("Messages.cancel")(function* (userId, roomId, id) {
        const before = yield* get(userId, roomId, id)
        if (hasEnded(before)) return yield* new AlreadyFinished()
        if (before.status === "processing") {
          // Its worker has the text, so it ends the reply itself; one that does not answer has died.
          yield* queue.announce({ topics: [stopTopic(id)] })
          const stopped = yield* settled(userId, roomId, id, workerAnswers)
          if (stopped.status === "cancelled") return stopped
          if (hasEnded(stopped)) return yield* new AlreadyFinished()
        }
        const [row] = yield* sql<{ finished: boolean; nextReply: string | null }>`
          select * from finish_reply(${userId}, ${id}, null, 'cancelled', (
            select coalesce(string_agg(s.body, '' order by s.start_offset), '') from stream_segments s
            join messages m on m.user_id = s.user_id and m.id = s.reply_id and m.attempt = s.attempt
            where s.user_id = ${userId} and s.reply_id = ${id}
          ), null, false, null, null, null, null, null, null, null, false, 0, null, null)
        `.pipe(Effect.orDie)
        if (row?.finished !== true) return yield* new AlreadyFinished()
        yield* queue.announce({
          replies: row.nextReply === null ? [] : [{ userId, replyId: row.nextReply }],
          topics: [stopTopic(id), replyTopic(id)]
        })
        return yield* get(userId, roomId, id)
      })

      const answeredFinished: Messages["Service"]["answeredFinished"] = Effect.fn("Messages.answeredFinished")(function* (userId, key) {
        yield* sql`update idempotency_keys set status = 201 where user_id = ${userId} and route = 'sendMessage' and key = ${key}`
      }, Effect.orDie)

      /** Rows that belong to the room; an empty answer says whether the room is there at all. */
      const inRoom = Effect.fnUntraced(function* <Row>(userId: UserId, roomId: ChatroomId, rows: ReadonlyArray<Row>) {
        if (rows.length > 0) return rows
        const [room] = yield* sql`select 1 from chatrooms where user_id = ${userId} and id = ${roomId}`.pipe(Effect.orDie)
        return room === undefined ? yield* new ChatroomNotFound() : rows
      })

      const state: Messages["Service"]["state"] = Effect.fnUntraced(function* (userId, roomId, id) {
        const rows = yield* sql<MessageRow & { retryAt: Date | null }>`
          select ${selected}, retry_at from messages where user_id = ${userId} and id = ${id} and chatroom_id = ${roomId}
        `.pipe(Effect.orDie)
        const [row] = yield* inRoom(userId, roomId, rows)
        return row === undefined ? yield* new MessageNotFound() : { message: toMessage(row), retryAt: isoOrNull(row.retryAt) }
      })
      const get: Messages["Service"]["get"] = (userId, roomId, id) =>
        Effect.map(state(userId, roomId, id), ({ message }) => message)

      const settled: Messages["Service"]["settled"] = Effect.fn("Messages.settled")(function* (userId, roomId, id, seconds) {
        const deadline = (yield* Clock.currentTimeMillis) + seconds * 1000
        while (true) {
          // Listening starts before looking, so that no end can fall between the two.
          const woken = yield* Effect.forkChild(notifications.once(replyTopic(id)), { startImmediately: true })
          const message = yield* get(userId, roomId, id)
          const left = deadline - (yield* Clock.currentTimeMillis)
          if (!hasEnded(message) && left > 0) {
            yield* Fiber.join(woken).pipe(Effect.timeoutOption(Math.min(left, recheck)))
          }
          yield* Fiber.interrupt(woken)
          if (hasEnded(message) || left <= 0) return message
        }
      })

      const latest: Messages["Service"]["latest"] = Effect.fn("Messages.latest")(function* (userId, roomId) {
        const rows = yield* sql<MessageRow>`
          with question as (
            select id from messages where user_id = ${userId} and chatroom_id = ${roomId} and role = 'user'
            order by id desc limit 1
          )
          (select ${selected} from messages where user_id = ${userId} and id = (select id from question))
          union all
          (select ${selected} from messages where user_id = ${userId} and chatroom_id = ${roomId}
            and reply_to = (select id from question) order by id desc limit 1)
        `.pipe(Effect.orDie)
        const [message, reply] = (yield* inRoom(userId, roomId, rows)).map(toMessage)
        return { message: message ?? null, reply: reply ?? null }
      })

      const history: Messages["Service"]["history"] = Effect.fn("Messages.history")(function* (userId, roomId, query) {
        const forwards = query.after !== undefined
        const rows = yield* sql<MessageRow>`
          select ${selected} from messages
          where ${sql.and([
            sql`user_id = ${userId}`,
            sql`chatroom_id = ${roomId}`,
            ...(query.before === undefined ? [] : [sql`id < ${query.before}::uuid`]),
            ...(query.after === undefined ? [] : [sql`id > ${query.after}::uuid`])
          ])}
          order by ${sql.literal(forwards ? "id asc" : "id desc")} limit ${query.limit + 1}
        `.pipe(Effect.orDie)
        const found = yield* inRoom(userId, roomId, rows)
        return { messages: found.slice(0, query.limit).map(toMessage), hasMore: found.length > query.limit }
      })

      return Messages.of({ send, regenerate, cancel, state, get, settled, answeredFinished, latest, history })
    })
  )
}

