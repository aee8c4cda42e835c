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
import { channel } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { mergeThinking } from "../models/Thinking.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import { Branches } from "./Branches.ts"
import { type ChatroomRow, maximumChatrooms, newRooms, roomColumns, toChatroom } from "./ChatroomRow.ts"
import { contains } from "./TextMatch.ts"
import { defaultTitle, wordsOf } from "./Titles.ts"

/** What a reply takes over from its room. */
const settings = ["systemPrompt", "model", "temperature", "thinking", "tools"] as const

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
      const branches = yield* Branches
      const { autoTitles, userConcurrency } = yield* AppConfig
      // Notifies in the statement that changes a room, and so in its transaction: a committed change is always announced.
      const notifyChange = sql.literal(`pg_notify('${channel}', '${topicOf("chatrooms", "")}' || user_id)`)
      /** The same for an automatic title, which the open streams of the room send. */
      const notifyTitle = sql.literal(
        `pg_notify('${channel}', '${topicOf("chatrooms", "")}' || user_id || chr(10) || '${topicOf("title", "")}' || id)`
      )
      const selected = sql.literal(roomColumns)

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

      const updateRow = Effect.fnUntraced(function* (
        userId: UserId,
        id: ChatroomId,
        input: UpdateChatroom,
        title: Pick<Chatroom, "title" | "titleSource"> | undefined
      ) {
        const given = (key: keyof UpdateChatroom) => Object.hasOwn(input, key)
        const isAutomatic = title?.titleSource === "words"
        const [row] = yield* sql<ChatroomRow>`
          update chatrooms set
            title = coalesce(${title?.title ?? null}, title),
            title_source = coalesce(${title?.titleSource ?? null}, title_source),
            titled_at = case when ${isAutomatic} then date_trunc('milliseconds', clock_timestamp()) else titled_at end,
            system_prompt = case when ${given("systemPrompt")} then ${input.systemPrompt ?? null} else system_prompt end,
            model = case when ${given("model")} then ${input.model ?? null} else model end,
            temperature = case when ${given("temperature")} then ${input.temperature ?? null}::float8 else temperature end,
            thinking = thinking || ${JSON.stringify(input.thinking ?? {})}::text::jsonb,
            tools = coalesce(${input.tools === undefined ? null : JSON.stringify(input.tools)}::text::jsonb, tools),
            summary = case when ${given("summary")} then ${input.summary ?? null}::boolean else summary end,
            pinned = coalesce(${input.pinned ?? null}, pinned),
            archived_at = case ${input.archived ?? null}::boolean
              when true then coalesce(archived_at, date_trunc('milliseconds', clock_timestamp()))
              when false then null
              else archived_at end,
            settings_version = settings_version + case when ${settings.some(given)} then 1 else 0 end,
            updated_at = date_trunc('milliseconds', clock_timestamp())
          where user_id = ${userId} and id = ${id} and kind = 'chat'
          returning ${selected}, ${isAutomatic ? notifyTitle : notifyChange}
        `
        return row === undefined ? yield* new ChatroomNotFound() : toChatroom(row)
      })

      /** The automatic title of the room, which stays locked: that of its first question, if it has one. */
      const automaticTitle = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId) {
        yield* sql`select 1 from chatrooms where user_id = ${userId} and id = ${roomId} for update`
        const [first] =
          autoTitles === "off"
            ? []
            : yield* sql<{ questionId: string; replyId: string; content: string }>`
          select q.id as question_id, r.id as reply_id, left(q.content, 2000) as content
          from (
            select id, content from messages where user_id = ${userId} and chatroom_id = ${roomId} and role = 'user'
            order by id limit 1
          ) q, lateral (
            select id from messages where user_id = ${userId} and chatroom_id = ${roomId} and reply_to = q.id order by id limit 1
          ) r
        `
        const words = first === undefined ? undefined : wordsOf(first.content)
        return first === undefined || words === undefined
          ? { title: { title: defaultTitle, titleSource: "default" as const }, titles: [] }
          : {
              title: { title: words, titleSource: "words" as const },
              titles: [{ userId, roomId, questionId: first.questionId, replyId: first.replyId }]
            }
      })

      const update: Chatrooms["Service"]["update"] = Effect.fn("Chatrooms.update")(
        function* (userId, id, input) {
          const given = input.title ?? undefined
          const chosen = given === undefined ? undefined : { title: given, titleSource: "user" as const }
          if (input.title !== null && input.headId === undefined) return yield* updateRow(userId, id, input, chosen)
          const { room, titles } = yield* Effect.gen(function* () {
            if (input.headId !== undefined) yield* branches.moveTo(userId, id, input.headId)
            const { title, titles } = input.title === null ? yield* automaticTitle(userId, id) : { title: chosen, titles: [] }
            return { room: yield* updateRow(userId, id, input, title), titles }
          }).pipe(sql.withTransaction, retryConflicts(sql))
          if (autoTitles === "model" && titles.length > 0) yield* announcer.announce({ titles })
          return room
        },
        Effect.catchTag("SqlError", Effect.die)
      )

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
