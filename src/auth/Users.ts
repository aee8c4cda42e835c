import { createHmac } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { PhoneTaken } from "../api/auth/AuthErrors.ts"
import type { Mobile } from "../api/auth/Mobile.ts"
import { topicOf } from "../database/Topics.ts"
import { channel } from "../database/Notifications.ts"
import { UserId, type User } from "../api/auth/User.ts"
import { iso } from "../api/Schemas.ts"

interface Row {
  readonly id: string
  readonly mobile: string
  readonly name: string | null
  readonly email: string | null
  readonly status: User["status"]
  readonly createdAt: Date
}

const toUser = (row: Row): User => ({
  id: UserId.make(row.id),
  mobile: row.mobile,
  name: row.name,
  email: row.email,
  status: row.status,
  createdAt: iso(row.createdAt)
})

/** What is given is changed; null clears. */
export interface ProfileChange {
  readonly name?: string | null
  readonly email?: string | null
}

export class Users extends Context.Service<
  Users,
  {
    /** Registers a number as `pending`, until its owner proves it; a pending one takes the new details. */
    readonly signUp: (input: {
      readonly mobile: Mobile
      readonly name: string | null
      readonly email: string | null
      readonly passwordHash: string | null
      /** Who signs up, as `clientOf` tells them apart. */
      readonly client: string
    }) => Effect.Effect<User, PhoneTaken>
    /**
     * The number was proved: its user is active from now on, and made when there was none. A password chosen at the
     * signup is adopted only when the same client proves the number within an hour: else whoever signs a stranger's
     * number up would hold a password to the account that its owner opens.
     */
    readonly activate: (mobile: Mobile, client: string) => Effect.Effect<{ readonly user: User; readonly isNew: boolean }>
    /** The user of a number with the hash of its password, if it has one. */
    readonly credentials: (
      mobile: Mobile
    ) => Effect.Effect<{ readonly user: User; readonly passwordHash: string | null } | undefined>
    readonly passwordHash: (userId: UserId) => Effect.Effect<string | null>
    readonly setPassword: (userId: UserId, hash: string) => Effect.Effect<void>
    readonly update: (userId: UserId, change: ProfileChange) => Effect.Effect<void>
    /** Deletes the user with rooms, messages and sessions. Today's quota stays with the number. */
    readonly remove: (userId: UserId) => Effect.Effect<void>
  }
>()("chat-backend/auth/Users") {
  static readonly layer = Layer.effect(
    Users,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [pepper] = yield* sql<{ secret: string }>`select secret from server_secrets where name = 'quota_key'`
      if (pepper === undefined) return yield* Effect.die("server_secrets has no quota_key")
      const quotaKey = (mobile: Mobile) => createHmac("sha256", pepper.secret).update(mobile).digest("base64url")

      const signUp: Users["Service"]["signUp"] = Effect.fn("Users.signUp")(function* (signup) {
        const { client, email, mobile, name, passwordHash } = signup
        const [row] = yield* sql<Row>`
          insert into users as u (id, mobile, name, email, status, quota_key, pending_password_hash, pending_client, pending_since)
          values (${uuid()}, ${mobile}, ${name}, ${email}, 'pending', ${quotaKey(mobile)}, ${passwordHash}, ${client}, now())
          on conflict (mobile) do update set name = coalesce(excluded.name, u.name), email = coalesce(excluded.email, u.email),
            pending_password_hash = excluded.pending_password_hash, pending_client = excluded.pending_client,
            pending_since = excluded.pending_since, updated_at = now()
          where u.status = 'pending'
          returning id, mobile, name, email, status, created_at
        `.pipe(Effect.orDie)
        return row === undefined ? yield* new PhoneTaken() : toUser(row)
      })

      const activate: Users["Service"]["activate"] = Effect.fn("Users.activate")(
        function* (mobile, client) {
          const [row] = yield* sql<Row & { isNew: boolean }>`
          with before as (select status from users where mobile = ${mobile})
          insert into users as u (id, mobile, status, quota_key) values (${uuid()}, ${mobile}, 'active', ${quotaKey(mobile)})
          on conflict (mobile) do update set status = 'active', updated_at = now(),
            password_hash = case when u.status = 'pending' and u.pending_client = ${client} and u.pending_since > now() - interval '1 hour'
              then u.pending_password_hash else u.password_hash end,
            pending_password_hash = null, pending_client = null, pending_since = null
          returning id, mobile, name, email, status, created_at,
            coalesce((select status from before), 'pending') = 'pending' as is_new
        `
          return row === undefined ? yield* Effect.die("an upsert returned nothing") : { user: toUser(row), isNew: row.isNew }
        },
        Effect.catchTag("SqlError", Effect.die)
      )

      const credentials: Users["Service"]["credentials"] = Effect.fn("Users.credentials")(function* (mobile) {
        const [row] = yield* sql<Row & { passwordHash: string | null }>`
          select id, mobile, name, email, status, created_at, password_hash from users where mobile = ${mobile} and status = 'active'
        `
        return row === undefined ? undefined : { user: toUser(row), passwordHash: row.passwordHash }
      }, Effect.orDie)

      const passwordHash: Users["Service"]["passwordHash"] = Effect.fn("Users.passwordHash")(function* (userId) {
        const [row] = yield* sql<{ passwordHash: string | null }>`select password_hash from users where id = ${userId}`
        return row?.passwordHash ?? null
      }, Effect.orDie)

      const setPassword: Users["Service"]["setPassword"] = Effect.fn("Users.setPassword")(function* (userId, hash) {
        yield* sql`update users set password_hash = ${hash}, updated_at = now() where id = ${userId}`
      }, Effect.orDie)

      const update: Users["Service"]["update"] = Effect.fn("Users.update")(function* (userId, change) {
        const given = (key: keyof ProfileChange) => Object.hasOwn(change, key)
        yield* sql`
          update users set
            name = case when ${given("name")} then ${change.name ?? null} else name end,
            email = case when ${given("email")} then ${change.email ?? null} else email end,
            updated_at = now()
          where id = ${userId}
        `
      }, Effect.orDie)

      const remove: Users["Service"]["remove"] = Effect.fn("Users.remove")(function* (userId) {
        // With the rows go what other processes remember of them, and the replies they are making.
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
