import { createHmac } from "node:crypto"
import { Context, Effect, Layer, String } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { PhoneTaken } from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { topicOf } from "../database/Topics.ts"
import { channel } from "../database/Notifications.ts"
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
      readonly passwordHash: string | null
      /** The fingerprint of the client that signs up (`clientOf`). */
      readonly client: string
    }) => Effect.Effect<User, PhoneTaken>
    /**
     * Makes the user of a proved number active, and creates the user when there is none. A password from the signup is
     * adopted only when the same client proves the number within an hour: otherwise a stranger who signed the number up
     * would have a password for the owner's account.
     */
    readonly activate: (mobile: Mobile, client: string) => Effect.Effect<{ readonly user: User; readonly isNew: boolean }>
    /** The active user of a number, and the hash of the password if there is one. */
    readonly credentials: (
      mobile: Mobile
    ) => Effect.Effect<{ readonly user: User; readonly passwordHash: string | null } | undefined>
    readonly passwordHash: (userId: UserId) => Effect.Effect<string | null>
    readonly setPassword: (userId: UserId, hash: string) => Effect.Effect<void>
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
        const { client, email, mobile, name, passwordHash } = signup
        const [row] = yield* sql<UserRow>`
          insert into users as u (id, mobile, name, email, status, quota_key, pending_password_hash, pending_client, pending_since)
          values (${uuid()}, ${mobile}, ${name}, ${email}, 'pending', ${quotaKey(mobile)}, ${passwordHash}, ${client}, now())
          on conflict (mobile) do update set name = coalesce(excluded.name, u.name), email = coalesce(excluded.email, u.email),
            pending_password_hash = excluded.pending_password_hash, pending_client = excluded.pending_client,
            pending_since = excluded.pending_since, updated_at = now()
          where u.status = 'pending'
          returning ${columns}
        `.pipe(Effect.orDie)
        return row === undefined ? yield* new PhoneTaken() : toUser(row)
      })

      const activate: Users["Service"]["activate"] = Effect.fn("Users.activate")(function* (mobile, client) {
        const [row] = yield* sql<UserRow & { isNew: boolean }>`
          with before as (select status from users where mobile = ${mobile})
          insert into users as u (id, mobile, status, quota_key) values (${uuid()}, ${mobile}, 'active', ${quotaKey(mobile)})
          on conflict (mobile) do update set status = 'active', updated_at = now(),
            password_hash = case when u.status = 'pending' and u.pending_client = ${client} and u.pending_since > now() - interval '1 hour'
              then u.pending_password_hash else u.password_hash end,
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

      const setPassword: Users["Service"]["setPassword"] = Effect.fn("Users.setPassword")(function* (userId, hash) {
        yield* sql`update users set password_hash = ${hash}, updated_at = now() where id = ${userId}`
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

      const remove: Users["Service"]["remove"] = Effect.fn("Users.remove")(function* (userId) {
        // Notifies every process: drop the cached sessions of this user, and stop making these replies.
        yield* sql`
          with stopped as (
            select pg_notify(${channel}, 'stop:' || id) from messages
            where user_id = ${userId} and completed_at is null
          ), removed as (
            delete from users where id = ${userId} returning pg_notify(${channel}, ${topicOf("sessions", userId)})
          )
          select (select count(*) from stopped), (select count(*) from removed)
        `
      }, Effect.orDie)

      return Users.of({ signUp, activate, credentials, passwordHash, setPassword, update, remove })
    })
  )
}
