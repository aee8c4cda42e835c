import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, ChatroomsLimited, type NotFinished, TooManyChatrooms } from "../api/chat/ChatErrors.ts"
import type { Chatroom, ChatroomId, CreateChatroom, UpdateChatroom } from "../api/chat/Chatroom.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import type { ValidationFailed } from "../api/Problems.ts"
import { Throttle } from "../auth/Throttle.ts"
import { AppConfig } from "../config/Settings.ts"
import { ReadSql } from "../database/Database.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { mergeThinking } from "../models/Thinking.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import { type ChatroomRow, maximumChatrooms, newRooms, roomColumns, roomNotices, toChatroom } from "./ChatroomRow.ts"
import { makeUpdateRoom } from "./RoomUpdate.ts"
import { contains } from "./TextMatch.ts"
import { defaultTitle } from "./Titles.ts"

/** A room's position in the list: pinned rooms first, then by latest activity. */
export interface ListPosition {
  readonly pinned: boolean
  readonly activeAt: string
  readonly id: string
}
export const positionOf = (room: Chatroom): ListPosition => ({
  pinned: room.pinned,
  activeAt: room.lastMessageAt ?? room.createdAt,
  id: room.id
})

export interface ListQuery {
  readonly limit: number
  readonly archived: boolean
  readonly search?: string | undefined
  readonly after?: ListPosition | undefined
}

/** What `delete_chatroom` returns for a room that existed. */
interface Deleted {
  readonly unfinished: ReadonlyArray<string>
  readonly nextReplies: ReadonlyArray<ReleasedReply>
}

/** A user's rooms, in their table. */
export class Chatrooms extends Context.Service<
  Chatrooms,
  {
    readonly create: (userId: UserId, input: CreateChatroom) => Effect.Effect<Chatroom, TooManyChatrooms | ChatroomsLimited>
    readonly list: (
      userId: UserId,
      query: ListQuery
    ) => Effect.Effect<{ readonly rooms: Array<Chatroom>; readonly hasMore: boolean }>
    readonly get: (userId: UserId, id: ChatroomId) => Effect.Effect<Chatroom, ChatroomNotFound>
    readonly update: (
      userId: UserId,
      id: ChatroomId,
      input: UpdateChatroom
    ) => Effect.Effect<Chatroom, ChatroomNotFound | NotFinished | ValidationFailed>
    /** Names the room, unless its user has; `userId` and `id` are those of a job. */
    readonly nameByModel: (userId: string, id: string, title: string) => Effect.Effect<void>
    /** Deletes the room and its messages, and stops the replies in progress. */
    readonly remove: (userId: UserId, id: ChatroomId) => Effect.Effect<void, ChatroomNotFound>
  }
>()("chat-backend/chat/Chatrooms") {
  static readonly layer = Layer.effect(
    Chatrooms,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const announcer = yield* Announcer
      const throttle = yield* Throttle
      const { userConcurrency } = yield* AppConfig
      const { notifyChange, notifyTitle } = roomNotices(sql)
      const selected = sql.literal(roomColumns)
      const update = yield* makeUpdateRoom

      const create: Chatrooms["Service"]["create"] = Effect.fn("Chatrooms.create")(function* (userId, input) {
        const retryAfter = yield* throttle.take(`chatrooms:${userId}`, newRooms)
        if (retryAfter > 0) return yield* new ChatroomsLimited({ retryAfter })
        // One statement counts and creates, so that parallel requests cannot exceed the limit.
        const [row] = yield* sql<ChatroomRow>`
          with place as (
            update users set chatrooms = chatrooms + 1 where id = ${userId} and chatrooms < ${maximumChatrooms} returning 1
          )
          insert into chatrooms (user_id, id, title, title_source, system_prompt, model, temperature, thinking, tools, summary)
          select ${userId}, ${uuid()}, ${input.title ?? defaultTitle},
            ${input.title === undefined ? "default" : "user"}, ${input.systemPrompt ?? null}, ${input.model ?? null},
            ${input.temperature ?? null}, ${JSON.stringify(mergeThinking(defaultThinking, input.thinking))}::text::jsonb,
            ${JSON.stringify(input.tools ?? [])}::text::jsonb, ${input.summary ?? null}::boolean
          from place
          returning ${selected}, ${notifyChange}
        `.pipe(retryConflicts(sql), Effect.orDie)
        if (row === undefined) return yield* new TooManyChatrooms({ limit: maximumChatrooms })
        return toChatroom(row)
      })

      const list: Chatrooms["Service"]["list"] = Effect.fnUntraced(function* (userId, query) {
        const { after, search } = query
        const rows = yield* readSql<ChatroomRow>`
          select ${selected} from chatrooms
          where ${sql.and([
            sql`user_id = ${userId}`,
            sql`kind = 'chat'`,
            query.archived ? sql`archived_at is not null` : sql`archived_at is null`,
            ...(search === undefined ? [] : [contains(sql, sql`title`, search)]),
            ...(after === undefined
              ? []
              : [sql`(pinned, active_at, id) < (${after.pinned}, ${after.activeAt}::text::timestamptz, ${after.id}::uuid)`])
          ])}
          order by pinned desc, active_at desc, id desc
          limit ${query.limit + 1}
        `
        return { rooms: rows.slice(0, query.limit).map(toChatroom), hasMore: rows.length > query.limit }
      }, Effect.orDie)

      const get: Chatrooms["Service"]["get"] = Effect.fn("Chatrooms.get")(function* (userId, id) {
        const [row] =
          yield* readSql<ChatroomRow>`select ${selected} from chatrooms where user_id = ${userId} and id = ${id} and kind = 'chat'`.pipe(
            Effect.orDie
          )
        return row === undefined ? yield* new ChatroomNotFound() : toChatroom(row)
      })

      const nameByModel: Chatrooms["Service"]["nameByModel"] = Effect.fn("Chatrooms.nameByModel")(function* (userId, id, title) {
        yield* sql`
          update chatrooms set title = ${title}, title_source = 'model', titled_at = date_trunc('milliseconds', clock_timestamp())
          where user_id = ${userId} and id = ${id} and title_source in ('default', 'words')
          returning ${notifyTitle}
        `
      }, Effect.orDie)

      const remove: Chatrooms["Service"]["remove"] = Effect.fn("Chatrooms.remove")(function* (userId, id) {
        const [row] = yield* sql<{ deleted: Deleted | null }>`
          select delete_chatroom(p_user => ${userId}, p_room => ${id}, p_basic_running => ${userConcurrency.basic},
            p_pro_running => ${userConcurrency.pro}) as deleted
        `.pipe(retryConflicts(sql), Effect.orDie)
        const deleted = row?.deleted ?? undefined
        if (deleted === undefined) return yield* new ChatroomNotFound()
        yield* announcer.announce({
          replies: wakeupsOf(userId, deleted.nextReplies),
          topics: deleted.unfinished.flatMap((reply) => [topicOf("stop", reply), topicOf("reply", reply)])
        })
      })

      return Chatrooms.of({ create, list, get, update, nameByModel, remove })
    })
  )
}
