import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { iso, isoOrNull } from "../api/Schemas.ts"
import { type CreateShare, type NewShare, type Share, ShareId } from "../api/shares/Share.ts"
import { NothingToShare, ShareNotFound, TooManyShares } from "../api/shares/ShareErrors.ts"
import { AddressLimits } from "../auth/AddressLimits.ts"
import type { TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { AppConfig } from "../config/Settings.ts"
import { Branches } from "../chat/Branches.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { hashOfSecret, newSecret } from "../keys/SealedSecrets.ts"
import { lastMessage, type SharedPart, sharedPath } from "./SharedPath.ts"

/** Live links of a user. */
const maximumShares = 100

const columns = columnsOf(["id", "chatroomId", "title", "views", "createdAt", "expiresAt", "attachments"])
/** A link ends with its last message, too: a question is deleted with everything under it. */
const isLive = `
  s.revoked_at is null and (s.expires_at is null or s.expires_at > now())
  and exists (select from messages up_to where up_to.user_id = s.user_id and up_to.id = s.up_to)
`

/** A link that was opened. */
export interface OpenedShare extends SharedPart {
  readonly id: string
  readonly title: string
  /** Whether it shows the files of its questions. */
  readonly attachments: boolean
}

/** A new link, with its token, which is not stored. */
export type MadeShare = Omit<NewShare, "url"> & { readonly token: string }

/** Links under which a part of a room can be read. */
export class Shares extends Context.Service<
  Shares,
  {
    readonly create: (
      userId: UserId,
      roomId: ChatroomId,
      input: CreateShare
    ) => Effect.Effect<MadeShare, ChatroomNotFound | NothingToShare | TooManyShares | ValidationFailed>
    /** The user's live links, the newest first. */
    readonly list: (
      userId: UserId,
      page: { readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<{ readonly found: ReadonlyArray<Share>; readonly hasMore: boolean }>
    readonly revoke: (userId: UserId, id: ShareId) => Effect.Effect<void, ShareNotFound>
    /**
     * The live link with this token, read from the database each time, so that a revocation counts at once at every process.
     * Limits the misses of an address.
     */
    readonly open: (token: string, address: string | null) => Effect.Effect<OpenedShare, ShareNotFound | TooManyAttempts>
  }
>()("chat-backend/shares/Shares") {
  static readonly layer = Layer.effect(
    Shares,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const limits = yield* AddressLimits
      const branches = yield* Branches
      const { sharing } = yield* AppConfig
      const live = sql.literal(isLive)

      /** What there is to share, with the user and the room locked until the transaction ends. */
      const findPart = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, upTo: string | undefined) {
        yield* sql`select 1 from users where id = ${userId} for no key update`
        const head = yield* branches.headOf(userId, roomId)
        const [found] = yield* sql<{ title: string; upTo: string | null; createdAt: Date }>`
          select c.title, last.id as up_to, date_trunc('milliseconds', clock_timestamp()) as created_at
          from chatrooms c left join lateral (${lastMessage(sql, { userId, roomId, head, upTo })}) last on true
          where c.user_id = ${userId} and c.id = ${roomId} for key share of c
        `
        if (found === undefined) return yield* new ChatroomNotFound()
        if (found.upTo === null) {
          if (upTo === undefined) return yield* new NothingToShare()
          return yield* new ValidationFailed({ errors: [{ path: "/upTo", message: "is not a message of this chatroom" }] })
        }
        return { ...found, upTo: found.upTo, userId, chatroomId: roomId }
      })

      const create: Shares["Service"]["create"] = Effect.fn("Shares.create")(
        function* (userId, roomId, input) {
          const part = yield* findPart(userId, roomId, input.upTo)
          const [counted] = yield* sql<{ messages: number; replies: number }>`
            select count(*)::int as messages, (count(*) filter (where id <> exchange_id))::int as replies
            from (${sharedPath(sql, part)}) path
          `
          const { messages, replies } = counted ?? { messages: 0, replies: 0 }
          if (replies === 0) return yield* new NothingToShare()
          // Those that have ended go first, so that the rows of a user are bounded, too.
          yield* sql`delete from shares s where s.user_id = ${userId} and not (${live})`
          const token = newSecret()
          const [row] = yield* sql<{ id: string; expiresAt: Date | null }>`
            insert into shares (user_id, id, chatroom_id, up_to, title, token_hash, created_at, expires_at, attachments)
            select ${userId}, ${uuid()}, ${roomId}, ${part.upTo}, ${input.title ?? part.title}, ${hashOfSecret(token)},
              ${part.createdAt}, ${part.createdAt}::timestamptz + make_interval(secs => ${input.expiresIn ?? null}::float8),
              ${input.attachments === true}
            where (select count(*) from shares where user_id = ${userId}) < ${maximumShares}
            returning id, expires_at
          `
          if (row === undefined) return yield* new TooManyShares({ limit: maximumShares })
          return {
            id: ShareId.make(row.id),
            token,
            title: input.title ?? part.title,
            createdAt: iso(part.createdAt),
            expiresAt: isoOrNull(row.expiresAt),
            attachments: input.attachments === true,
            messages
          }
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.catchTag("SqlError", Effect.die)
      )

      const list: Shares["Service"]["list"] = Effect.fn("Shares.list")(function* (userId, { before, limit }) {
        const rows = yield* sql<RowOf<Share>>`
          select ${sql.literal(columns)} from shares s
          where s.user_id = ${userId} and ${live} and (${before ?? null}::uuid is null or s.id < ${before ?? null}::uuid)
          order by s.id desc limit ${limit + 1}
        `
        const found = rows.slice(0, limit).map((row) => ({
          id: row.id,
          chatroomId: row.chatroomId,
          title: row.title,
          views: row.views,
          createdAt: iso(row.createdAt),
          expiresAt: isoOrNull(row.expiresAt),
          attachments: row.attachments
        }))
        return { found, hasMore: rows.length > limit }
      }, Effect.orDie)

      const revoke: Shares["Service"]["revoke"] = Effect.fn("Shares.revoke")(function* (userId, id) {
        const rows = yield* sql`
          update shares s set revoked_at = now() where s.user_id = ${userId} and s.id = ${id} and ${live} returning 1
        `.pipe(Effect.orDie)
        if (rows.length === 0) return yield* new ShareNotFound()
      })

      const open: Shares["Service"]["open"] = Effect.fn("Shares.open")(function* (token, address) {
        if (sharing === "off") return yield* new ShareNotFound()
        const share = yield* limits.lookUp<OpenedShare>(
          "share",
          address,
          sql`
            select s.user_id, s.id, s.chatroom_id, s.up_to, s.title, s.created_at, s.attachments,
              coalesce(c.head_id, fill_branches(s.user_id, s.chatroom_id)) as head_id
            from shares s join chatrooms c on c.user_id = s.user_id and c.id = s.chatroom_id
            where s.token_hash = ${hashOfSecret(token)} and ${live}
          `
        )
        return share ?? (yield* new ShareNotFound())
      })

      return Shares.of({ create, list, revoke, open })
    })
  )
}
