import { createHmac } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { PhoneTaken } from "./AuthErrors.ts"
import type { Mobile } from "./Mobile.ts"
import { UserId, type User } from "./User.ts"
import { iso } from "../Text.ts"

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

export class Users extends Context.Service<
  Users,
  {
    /** Registers a number as `pending`, until its owner proves it; a pending one takes the new details. */
    readonly signUp: (input: {
      readonly mobile: Mobile
      readonly name: string | null
      readonly email: string | null
    }) => Effect.Effect<User, PhoneTaken>
    /** The number was proved: its user is active from now on, and made when there was none. */
    readonly activate: (mobile: Mobile) => Effect.Effect<{ readonly user: User; readonly isNew: boolean }>
  }
>()("chat-backend/auth/Users") {
  static readonly layer = Layer.effect(
    Users,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const [pepper] = yield* sql<{ secret: string }>`select secret from server_secrets where name = 'quota_key'`
      if (pepper === undefined) return yield* Effect.die("server_secrets has no quota_key")
      const quotaKey = (mobile: Mobile) => createHmac("sha256", pepper.secret).update(mobile).digest("base64url")

      const signUp: Users["Service"]["signUp"] = Effect.fn("Users.signUp")(function* ({ mobile, name, email }) {
        const [row] = yield* sql<Row>`
          insert into users as u (id, mobile, name, email, status, quota_key)
          values (${uuid()}, ${mobile}, ${name}, ${email}, 'pending', ${quotaKey(mobile)})
          on conflict (mobile) do update set name = coalesce(excluded.name, u.name), email = coalesce(excluded.email, u.email),
            updated_at = now()
          where u.status = 'pending'
          returning id, mobile, name, email, status, created_at
        `.pipe(Effect.orDie)
        return row === undefined ? yield* new PhoneTaken() : toUser(row)
      })

      const activate: Users["Service"]["activate"] = Effect.fn("Users.activate")(function* (mobile) {
        const [row] = yield* sql<Row & { isNew: boolean }>`
          with before as (select status from users where mobile = ${mobile})
          insert into users as u (id, mobile, status, quota_key) values (${uuid()}, ${mobile}, 'active', ${quotaKey(mobile)})
          on conflict (mobile) do update set status = 'active', updated_at = now()
          returning id, mobile, name, email, status, created_at,
            coalesce((select status from before), 'pending') = 'pending' as is_new
        `
        return row === undefined ? yield* Effect.die("an upsert returned nothing") : { user: toUser(row), isNew: row.isNew }
      }, Effect.catchTag("SqlError", Effect.die))

      return Users.of({ signUp, activate })
    })
  )
}
