import { createHmac } from "node:crypto"
import { Context, Effect, Layer, String } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { PhoneTaken } from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { channel } from "../database/Notifications.ts"
import type { SignupDetails } from "./SignupTokens.ts"
import { User, type UserId } from "../api/auth/User.ts"
import { iso } from "../api/Schemas.ts"

/** The columns of `users` that `User` shows. */
const userColumns = Object.keys(User.fields).map(String.camelToSnake).join(", ")
type UserRow = Omit<User, "createdAt"> & { readonly createdAt: Date }

const toUser = (row: UserRow): User => ({ ...row, createdAt: iso(row.createdAt) })

/** Null clears a field. An omitted field is unchanged. */
export interface ProfileChange {
  readonly name?: string | null | undefined
  readonly email?: string | null | undefined
}

export class Users extends Context.Service<
  Users,
  {
    /** Registers a number as `pending` until its owner proves it. A number that is pending already gets the new details. */
    readonly signUp: (input: {
      readonly mobile: Mobile
      readonly name: string | null
      readonly email: string | null
      /** The fingerprint of the client that signs up (`clientFingerprint`). */
      readonly client: string
    }) => Effect.Effect<User, PhoneTaken>
    /**
     * Makes the user of a proved number active, and creates the user when there is none. A new user gets the details of
     * the signup whose token the client has brought. Without a token only a name and an e-mail are taken from the signup,
     * and only if the same client signed up; a password never is, because a fingerprint can be shared by strangers.
     */
    readonly activate: (
      mobile: Mobile,
      client: string,
      details?: SignupDetails | undefined
    ) => Effect.Effect<{ readonly user: User; readonly isNew: boolean }>
    /** The active user of a number, and the hash of the password if there is one. */
    readonly credentials: (
      mobile: Mobile
    ) => Effect.Effect<{ readonly user: User; readonly passwordHash: string | null } | undefined>
    readonly passwordHash: (userId: UserId) => Effect.Effect<string | null>
    /** Replaces the password whose hash is `replaced` (null: none; undefined: any). False when that is not the hash now. */
    readonly setPassword: (userId: UserId, hash: string, replaced?: string | null | undefined) => Effect.Effect<boolean>
    readonly update: (userId: UserId, change: ProfileChange) => Effect.Effect<void>
    /** Deletes the user with all rooms, messages and sessions. The number keeps what it used of today's quota. */
    readonly remove: (userId: UserId) => Effect.Effect<void>
  }
>()("chat-backend/auth/Users") {
  static readonly layer = Layer.effect(
    Users,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const columns = sql.literal(userColumns)
      const [pepper] = yield* sql<{ secret: string }>`select secret from server_secrets where name = 'quota_key'`
      if (pepper === undefined) return yield* Effect.die("server_secrets has no quota_key")
      const quotaKey = (mobile: Mobile) => createHmac("sha256", pepper.secret).update(mobile).digest("base64url")

      const signUp: Users["Service"]["signUp"] = Effect.fn("Users.signUp")(function* (signup) {
        const { client, email, mobile, name } = signup
        const [row] = yield* sql<UserRow>`
          insert into users as u (id, mobile, name, email, status, quota_key, pending_client, pending_since)
          values (${uuid()}, ${mobile}, ${name}, ${email}, 'pending', ${quotaKey(mobile)}, ${client}, now())
          on conflict (mobile) do update set
            name = case when u.pending_client = excluded.pending_client then coalesce(excluded.name, u.name) else excluded.name end,
            email = case when u.pending_client = excluded.pending_client then coalesce(excluded.email, u.email) else excluded.email end,
            pending_client = excluded.pending_client, pending_since = excluded.pending_since, updated_at = now()
          where u.status = 'pending'
          returning ${columns}
        `.pipe(Effect.orDie)
        return row === undefined ? yield* new PhoneTaken() : toUser(row)
      })

      const activate: Users["Service"]["activate"] = Effect.fn("Users.activate")(function* (mobile, client, details) {
        const { email = null, name = null, passwordHash: hash = null } = details ?? {}
        const hasDetails = details !== undefined
        // Whether the row's own name and e-mail come from the client that proves the number.
        const isOwn = sql`not ${hasDetails}::boolean and u.pending_client = ${client} and u.pending_since > now() - interval '1 hour'`
        const [row] = yield* sql<UserRow & { isNew: boolean }>`
          with before as (select status from users where mobile = ${mobile})
          insert into users as u (id, mobile, status, quota_key, name, email, password_hash)
          values (${uuid()}, ${mobile}, 'active', ${quotaKey(mobile)}, ${name}, ${email}, ${hash})
          on conflict (mobile) do update set status = 'active', updated_at = now(),
            name = case when u.status = 'active' or ${isOwn} then u.name else excluded.name end,
            email = case when u.status = 'active' or ${isOwn} then u.email else excluded.email end,
            password_hash = case when u.status = 'active' then u.password_hash else excluded.password_hash end,
            pending_password_hash = null, pending_client = null, pending_since = null
          returning ${columns}, coalesce((select status from before), 'pending') = 'pending' as is_new
        `
        if (row === undefined) return yield* Effect.die("an upsert returned nothing")
        const { isNew, ...user } = row
        return { user: toUser(user), isNew }
      }, Effect.orDie)

      const credentials: Users["Service"]["credentials"] = Effect.fn("Users.credentials")(function* (mobile) {
        const [row] = yield* sql<UserRow & { passwordHash: string | null }>`
          select ${columns}, password_hash from users where mobile = ${mobile} and status = 'active'
        `
        if (row === undefined) return undefined
        const { passwordHash, ...user } = row
        return { user: toUser(user), passwordHash }
      }, Effect.orDie)

      const passwordHash: Users["Service"]["passwordHash"] = Effect.fn("Users.passwordHash")(function* (userId) {
        const [row] = yield* sql<{ passwordHash: string | null }>`select password_hash from users where id = ${userId}`
        return row?.passwordHash ?? null
      }, Effect.orDie)

      const setPassword: Users["Service"]["setPassword"] = Effect.fn("Users.setPassword")(function* (userId, hash, replaced) {
        const isAny = replaced === undefined
        const rows = yield* sql`
          update users set password_hash = ${hash}, updated_at = now()
          where id = ${userId} and (${isAny}::boolean or password_hash is not distinct from ${replaced ?? null})
          returning 1
        `
        return rows.length > 0
      }, Effect.orDie)

      const update: Users["Service"]["update"] = Effect.fn("Users.update")(function* (userId, change) {
        const given = (key: keyof ProfileChange) => change[key] !== undefined
        yield* sql`
          update users set
            name = case when ${given("name")} then ${change.name ?? null} else name end,
            email = case when ${given("email")} then ${change.email ?? null} else email end,
            updated_at = now()
          where id = ${userId}
        `
      }, Effect.orDie)

      const remove: Users["Service"]["remove"] = Effect.fn("Users.remove")(
        function* (userId) {
          // Locked in the order of every transaction (docs/architecture.md), before the cascade takes them in any order.
          yield* sql`select from users where id = ${userId} for update`
          yield* sql`select from chatrooms where user_id = ${userId} order by id for update`
          // Notifies every process: stop making these replies, and drop the cached sessions of this user.
          yield* sql`
            select pg_notify(${channel}, 'stop:' || id) from (
              select id from messages where user_id = ${userId} and completed_at is null order by id for update) unfinished
          `
          yield* sql`select release_reservations(${userId}, null)`
          yield* sql`delete from users where id = ${userId} returning pg_notify(${channel}, ${topicOf("sessions", userId)})`
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.orDie
      )

      return Users.of({ signUp, activate, credentials, passwordHash, setPassword, update, remove })
    })
  )
}
