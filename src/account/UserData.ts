import { Context, Effect, Layer, Option, Stream } from "effect"
import { SqlClient } from "effect/sql"
import type { Chatroom } from "../api/chat/Chatroom.ts"
import { Chatrooms, type ListPosition, positionOf } from "../chat/Chatrooms.ts"
import { RoomExport, roomToJson } from "../chat/RoomExport.ts"
import { iso } from "../api/Schemas.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import type { DayOfUsage } from "../api/account/Usage.ts"

/** Days of usage that are told, and rows read at once. */
const usageDays = 92
const batch = 100

/** Everything that is kept of a user, for the user. */
export class UserData extends Context.Service<
  UserData,
  {
    /** Prompts and tokens by UTC day, the newest first. */
    readonly usage: (user: CurrentSession) => Effect.Effect<ReadonlyArray<DayOfUsage>>
    /** One JSON document, in pieces: an account can be larger than a process should hold. */
    readonly export: (user: CurrentSession) => Stream.Stream<string>
  }
>()("chat-backend/account/UserData") {
  static readonly layer = Layer.effect(
    UserData,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const chatrooms = yield* Chatrooms
      const roomExport = yield* RoomExport

      const usage = Effect.fn("UserData.usage")(function* (user: CurrentSession) {
        return yield* sql<DayOfUsage>`
          select day::text as day, prompts, prompt_tokens::float8 as prompt_tokens, reply_tokens::float8 as reply_tokens,
            thought_tokens::float8 as thought_tokens, cached_tokens::float8 as cached_tokens, tool_tokens::float8 as tool_tokens,
            searches::float8 as searches, cost_micros::float8 as cost_micros
          from usage_daily where quota_key = ${user.quotaKey} and day > (now() at time zone 'utc')::date - ${usageDays}
          order by usage_daily.day desc
        `
      }, Effect.orDie)

      const account = Effect.fnUntraced(function* (user: CurrentSession) {
        const sessions = yield* sql`
          select id, user_agent, created_at, last_used_at, revoked_at from sessions where user_id = ${user.userId} order by created_at
        `
        const authEvents = yield* sql`
          select kind, session_id, address, user_agent, at from auth_events where user_id = ${user.userId} order by id
        `
        const subscriptions = yield* sql`
          select id, status, current_period_start, current_period_end, cancel_at, created_at from subscriptions
          where user_id = ${user.userId} order by created_at
        `
        const { email, mobile, name, tier } = user
        const profile = { id: user.userId, mobile, name, email, tier, createdAt: iso(user.createdAt) }
        return JSON.stringify({ user: profile, sessions, authEvents, subscriptions, usage: yield* usage(user) })
      }, Effect.orDie)

      const roomsOf = (user: CurrentSession, archived: boolean) =>
        Stream.paginate<ListPosition | undefined, Chatroom>(undefined, (after) =>
          Effect.map(chatrooms.list(user.userId, { limit: batch, archived, after }), ({ hasMore, rooms }) => {
            const last = rooms.at(-1)
            return [rooms, hasMore && last !== undefined ? Option.some(positionOf(last)) : Option.none()] as const
          })
        )

      const exportAll = (user: CurrentSession) => {
        const rooms = Stream.concat(roomsOf(user, false), roomsOf(user, true)).pipe(
          Stream.zipWithIndex,
          Stream.flatMap(([room, index]) =>
            Stream.concat(Stream.make(index === 0 ? "" : ","), roomToJson(room, roomExport.messages(user.userId, room.id)))
          )
        )
        return Stream.fromEffect(account(user)).pipe(
          Stream.map((head) => `${head.slice(0, -1)},"chatrooms":[`),
          Stream.concat(rooms),
          Stream.concat(Stream.make("]}"))
        )
      }

      return UserData.of({ usage, export: exportAll })
    })
  )
}
