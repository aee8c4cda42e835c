import { Context, Effect, Layer, Option, type Scope, Stream, Struct } from "effect"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Chatroom } from "../api/chat/Chatroom.ts"
import { Chatrooms, type ListPosition, positionOf } from "../chat/Chatrooms.ts"
import { RoomExport, roomToJson } from "../chat/RoomExport.ts"
import { Replica } from "../database/Replica.ts"
import { contentPath } from "../files/Content.ts"
import { iso } from "../api/Schemas.ts"
import type { BulkheadFull } from "../ops/Bulkhead.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import type { DayOfUsage } from "../api/account/Usage.ts"

/** Days of usage that are shown. */
const usageDays = 92
/** Rooms, and sessions or events, that one statement reads. */
const batch = 100
const rowsInBatch = 500
const beforeAll = "00000000-0000-0000-0000-000000000000"

interface Kept {
  readonly id: string
}

const text = (piece: string) => Stream.make(piece)
const json = (value: Effect.Effect<unknown>) => Stream.fromEffect(Effect.map(value, (known) => JSON.stringify(known)))
const join = (...pieces: ReadonlyArray<Stream.Stream<string>>) =>
  pieces.reduce((before, piece) => Stream.concat(before, piece), Stream.empty)

/** Everything that is kept of a user, for the user. */
export class UserData extends Context.Service<
  UserData,
  {
    /** Prompts and tokens by UTC day, the newest first. */
    readonly usage: (user: CurrentSession) => Effect.Effect<ReadonlyArray<DayOfUsage>>
    /** One JSON document, in pieces: an account can be larger than a process should hold. Thoughts are in it if so asked. */
    readonly export: (
      user: CurrentSession,
      options: {
        readonly thoughts: boolean
        /** Where the files are for the client. */
        readonly files: string
      }
    ) => Stream.Stream<string>
    /** Takes the user's turn for the scope: one export of a user runs at once. */
    readonly exportTurn: (user: CurrentSession) => Effect.Effect<void, BulkheadFull, Scope.Scope>
  }
>()("chat-backend/account/UserData") {
  static readonly layer = Layer.effect(
    UserData,
    Effect.gen(function* () {
      const replica = yield* Replica
      const sql = yield* Effect.flatMap(SqlClient.SqlClient, replica.over)
      const chatrooms = yield* Chatrooms
      const roomExport = yield* RoomExport

      const usage = Effect.fn("UserData.usage")(function* (user: CurrentSession) {
        return yield* sql<DayOfUsage>`
          select day::text as day, prompts, greatest(0, prompt_tokens)::float8 as prompt_tokens,
            greatest(0, reply_tokens)::float8 as reply_tokens, thought_tokens::float8 as thought_tokens,
            cached_tokens::float8 as cached_tokens, tool_tokens::float8 as tool_tokens, searches::float8 as searches,
            cost_micros::float8 as cost_micros
          from usage_daily where quota_key = ${user.quotaKey} and day > (now() at time zone 'utc')::date - ${usageDays}
          order by usage_daily.day desc
        `
      }, Effect.orDie)

      /** Rows in batches by their ids, as the elements of a JSON array. */
      const elements = <Row extends Kept>(
        batchAfter: (id: string) => Effect.Effect<ReadonlyArray<Row>, SqlError>,
        shown: (row: Row) => object
      ) =>
        Stream.paginate<string, string>(beforeAll, (after) =>
          Effect.map(Effect.orDie(batchAfter(after)), (rows) => {
            const last = rows.at(-1)
            const next = rows.length === rowsInBatch && last !== undefined ? Option.some(last.id) : Option.none()
            return [last === undefined ? [] : [JSON.stringify(rows.map(shown)).slice(1, -1)], next] as const
          })
        ).pipe(Stream.intersperse(","))

      const sessionsOf = ({ userId }: CurrentSession) =>
        elements(
          (after) => sql<Kept>`
            select id, user_agent, created_at, last_used_at, revoked_at from sessions
            where user_id = ${userId} and id > ${after}::uuid order by id limit ${rowsInBatch}
          `,
          (session) => session
        )

      const apiKeysOf = ({ userId }: CurrentSession) =>
        elements(
          (after) => sql<Kept>`
            select id, name, last4, created_at, expires_at, last_used_at from api_keys
            where user_id = ${userId} and id > ${after}::uuid order by id limit ${rowsInBatch}
          `,
          (key) => key
        )

      const sharesOf = ({ userId }: CurrentSession) =>
        elements(
          (after) => sql<Kept>`
            select id, chatroom_id, title, views, created_at, expires_at, attachments, revoked_at from shares
            where user_id = ${userId} and id > ${after}::uuid order by id limit ${rowsInBatch}
          `,
          (share) => share
        )

      const summariesOf = ({ userId }: CurrentSession) =>
        elements(
          (after) => sql<Kept>`
            select chatroom_id as id, chatroom_id, upto_id as up_to, tokens, body as text, model, created_at from room_summaries
            where user_id = ${userId} and body is not null and chatroom_id > ${after}::uuid
            order by chatroom_id limit ${rowsInBatch}
          `,
          (summary) => Struct.omit(summary, ["id"])
        )

      const authEventsOf = ({ userId }: CurrentSession) =>
        elements(
          (after) => sql<Kept>`
            select id, kind, session_id, address, user_agent, at from auth_events
            where user_id = ${userId} and id > ${after}::uuid order by id limit ${rowsInBatch}
          `,
          (event) => Struct.omit(event, ["id"])
        )

      const filesOf = ({ userId }: CurrentSession, path: string) =>
        elements(
          (after) => sql<Kept>`
            select id, name, type, bytes, sha256, created_at from files
            where user_id = ${userId} and status = 'ready' and id > ${after}::uuid order by id limit ${rowsInBatch}
          `,
          (file) => ({ ...file, content: contentPath(file.id, path) })
        )

      const profileOf = ({ createdAt, email, mobile, name, tier, userId }: CurrentSession) =>
        JSON.stringify({ id: userId, mobile, name, email, tier, createdAt: iso(createdAt) })

      const subscriptionsOf = Effect.fnUntraced(function* ({ userId }: CurrentSession) {
        return yield* sql`
          select id, plan, status, trial_end, current_period_start, current_period_end, cancel_at, created_at from subscriptions
          where user_id = ${userId} order by created_at
        `
      }, Effect.orDie)

      const roomsOf = (user: CurrentSession, archived: boolean) =>
        Stream.paginate<ListPosition | undefined, Chatroom>(undefined, (after) =>
          Effect.map(chatrooms.list(user.userId, { limit: batch, archived, after }), ({ hasMore, rooms }) => {
            const last = rooms.at(-1)
            return [rooms, hasMore && last !== undefined ? Option.some(positionOf(last)) : Option.none()] as const
          })
        )

      const exportAll: UserData["Service"]["export"] = (user, { files, thoughts }) => {
        const rooms = Stream.concat(roomsOf(user, false), roomsOf(user, true)).pipe(
          Stream.zipWithIndex,
          Stream.flatMap(([room, index]) =>
            Stream.concat(
              Stream.make(index === 0 ? "" : ","),
              roomToJson(room, roomExport.messages(user.userId, room.id, { thoughts, branch: "all" }))
            )
          )
        )
        return join(
          text(`{"user":${profileOf(user)},"sessions":[`),
          sessionsOf(user),
          text('],"apiKeys":['),
          apiKeysOf(user),
          text('],"authEvents":['),
          authEventsOf(user),
          text('],"shares":['),
          sharesOf(user),
          text('],"subscriptions":'),
          json(subscriptionsOf(user)),
          text(',"usage":'),
          json(usage(user)),
          text(',"files":['),
          filesOf(user, files),
          text('],"summaries":['),
          summariesOf(user),
          text('],"chatrooms":['),
          rooms,
          text("]}")
        )
      }

      return UserData.of({ usage, export: exportAll, exportTurn: ({ userId }) => roomExport.turn(userId) })
    })
  )
}
