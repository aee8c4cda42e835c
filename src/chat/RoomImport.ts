import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, ChatroomsLimited, type TooManyChatrooms } from "../api/chat/ChatErrors.ts"
import type { Chatroom, CreateChatroom } from "../api/chat/Chatroom.ts"
import type { ImportChatroom } from "../api/chat/ImportChatroom.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { Throttle } from "../auth/Throttle.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Models } from "../models/Models.ts"
import { mergeThinking } from "../models/Thinking.ts"
import { type ChatroomRow, roomColumns, toChatroom } from "./ChatroomRow.ts"
import { Chatrooms } from "./Chatrooms.ts"
import { planOf } from "./ImportPlan.ts"
import { type OwnFile, rowOf, supersedingOf } from "./ImportRows.ts"

/** Imports of a user: each may bring megabytes, without a prompt being counted. */
const imports = { limit: 20, period: Duration.hours(1) }
/** Faults that a refusal names. */
const maximumFaults = 100

/** Makes rooms of exports. */
export class RoomImport extends Context.Service<
  RoomImport,
  {
    /** A new room of the user with the messages of the export, with their branches. */
    readonly add: (
      user: Pick<CurrentSession, "tier" | "userId">,
      room: ImportChatroom
    ) => Effect.Effect<Chatroom, ValidationFailed | TooManyChatrooms | ChatroomsLimited>
  }
>()("chat-backend/chat/RoomImport") {
  static readonly layer = Layer.effect(
    RoomImport,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const chatrooms = yield* Chatrooms
      const models = yield* Models
      const throttle = yield* Throttle

      /** The settings, as far as the user can choose them here. */
      const settingsOf = Effect.fnUntraced(function* (
        { tier }: Pick<CurrentSession, "tier">,
        { model = null, summary = null, systemPrompt = null, temperature = null, thinking, title, tools = [] }: ImportChatroom
      ) {
        const isAllowed = <E>(check: Effect.Effect<void, E>) =>
          Effect.match(check, { onSuccess: () => true, onFailure: () => false })
        const chosen = (yield* isAllowed(models.check(model, tier))) ? model : null
        const merged = mergeThinking(defaultThinking, thinking)
        const settings: CreateChatroom = {
          title,
          systemPrompt,
          model: chosen,
          temperature,
          summary,
          thinking: (yield* isAllowed(models.checkThinking(chosen, merged.level, tier))) ? merged : { ...merged, level: null },
          tools: (yield* isAllowed(models.checkTools(tools, chosen, tier))) ? tools : []
        }
        return settings
      })

      const ownFiles = Effect.fnUntraced(function* (userId: UserId, messages: ImportChatroom["messages"]) {
        const ids = [...new Set(messages.flatMap(({ attachments = [] }) => attachments.map(({ id }) => id)))]
        if (ids.length === 0) return new Map<string, OwnFile>()
        const files = yield* sql<OwnFile>`
          select id, kind, bytes, tokens from files
          where user_id = ${userId} and id = any(string_to_array(${ids.join(",")}, ',')::uuid[]) and status = 'ready'
            and (expires_at is null or expires_at > clock_timestamp())
        `
        return new Map(files.map((file) => [file.id, file]))
      })

      const useFiles = Effect.fnUntraced(function* (userId: UserId, roomId: string) {
        yield* sql`
          with used as (
            insert into file_uses (user_id, file_id, message_id)
            select distinct f.user_id, f.id, m.id
            from messages m cross join jsonb_array_elements(m.attachments) a
            join files f on f.user_id = ${userId} and f.id = (a ->> 'id')::uuid
            where m.user_id = ${userId} and m.chatroom_id = ${roomId} and m.attachments is not null
            returning file_id
          )
          update files set expires_at = null where user_id = ${userId} and id in (select file_id from used) and expires_at is not null
        `
      })

      const insert = Effect.fnUntraced(function* (userId: UserId, roomId: string, rows: ReadonlyArray<object>) {
        yield* sql`
          insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, superseded_by, attempt,
            finish_reason, truncated, error_code, error_message, error_detail, model, output, thoughts, grounding, attachments, created_at,
            completed_at)
          select ${userId}, i.id, ${roomId}, i.role, i.content, i.status, i.reply_to, i.parent_id, i.superseded_by, i.attempt,
            i.finish_reason, i.truncated, i.error_code, i.error_message,
            nullif(i.error_detail, 'null'), i.model, i.output::json, i.thoughts,
            nullif(i.grounding, 'null'), nullif(i.attachments, 'null'), least(i.created_at, now()), least(i.completed_at, now())
          from json_to_recordset(${JSON.stringify(rows)}::text::json) as i (id uuid, role text, content text, status text,
            reply_to uuid, parent_id uuid, superseded_by uuid, attempt int, finish_reason text, truncated boolean,
            error_code text, error_message text, error_detail jsonb, model text, output text, thoughts text, grounding jsonb, attachments jsonb,
            created_at timestamptz, completed_at timestamptz)
        `
      })

      const add: RoomImport["Service"]["add"] = Effect.fn("RoomImport.add")(
        function* (user, room) {
          const { userId } = user
          const { faults, planned } = planOf(room.messages, uuid)
          if (faults.length > 0) return yield* new ValidationFailed({ errors: faults.slice(0, maximumFaults) })
          const retryAfter = yield* throttle.take(`imports:${userId}`, imports)
          if (retryAfter > 0) return yield* new ChatroomsLimited({ retryAfter })
          // Locks the user, under whose lock files are deleted.
          const made = yield* chatrooms.create(userId, yield* settingsOf(user, room))
          const messages = [...planned.values()]
          const head = (room.headId == null ? undefined : planned.get(room.headId)) ?? messages.at(-1)
          if (head !== undefined) {
            const own = yield* ownFiles(userId, room.messages)
            const superseding = supersedingOf(messages)
            yield* insert(
              userId,
              made.id,
              messages.map((message) => rowOf(message, own, superseding.get(message.id) ?? null))
            )
            if (own.size > 0) yield* useFiles(userId, made.id)
          }
          const [row] = yield* sql<ChatroomRow>`
            update chatrooms set head_id = ${head?.id ?? null}::uuid, title_source = ${room.titleSource ?? "user"},
              last_message_at = case when ${head !== undefined} then date_trunc('milliseconds', clock_timestamp()) end,
              text_bytes = (
                select coalesce(sum(octet_length(content)) filter (where role = 'user' or status = 'completed'), 0)
                from messages where user_id = ${userId} and chatroom_id = ${made.id})
            where user_id = ${userId} and id = ${made.id} returning ${sql.literal(roomColumns)}
          `
          return row === undefined ? yield* Effect.die(new ChatroomNotFound()) : toChatroom(row)
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.catchTag("SqlError", Effect.die)
      )

      return RoomImport.of({ add })
    })
  )
}
