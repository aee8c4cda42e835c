import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound } from "../api/chat/ChatErrors.ts"
import type { Chatroom, ChatroomId, UpdateChatroom } from "../api/chat/Chatroom.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer } from "../queue/Announcer.ts"
import { Branches } from "./Branches.ts"
import { type ChatroomRow, roomColumns, roomNotices, toChatroom } from "./ChatroomRow.ts"
import { defaultTitle, wordsOf } from "./Titles.ts"

/** What a reply takes over from its room. */
const settings = ["systemPrompt", "model", "temperature", "thinking", "tools"] as const

/** Makes the function that changes a room: its settings, its place in the list, its title, its active branch. */
export const makeUpdateRoom = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const announcer = yield* Announcer
  const branches = yield* Branches
  const { autoTitles } = yield* AppConfig
  const { notifyChange, notifyTitle } = roomNotices(sql)
  const selected = sql.literal(roomColumns)

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

  return Effect.fn("Chatrooms.update")(
    function* (userId: UserId, id: ChatroomId, input: UpdateChatroom) {
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
})
