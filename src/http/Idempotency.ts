import { createHash } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../auth/User.ts"
import { IdempotencyKeyReused } from "../chat/ChatErrors.ts"

/**
 * Idempotency keys, kept 24 hours per user and route. The key and the effect's writes are one transaction: a
 * refused request stores nothing, and a second one with the same key waits for the first and replays it.
 * Sending a message keeps its key in its own transaction (`send_message`).
 */
export class Idempotency extends Context.Service<
  Idempotency,
  {
    readonly once: <A extends object, E>(
      request: { readonly userId: UserId; readonly route: string; readonly key: string | undefined; readonly body: unknown },
      effect: Effect.Effect<A, E>
    ) => Effect.Effect<{ readonly value: A; readonly replayed: boolean }, E | IdempotencyKeyReused>
  }
>()("chat-backend/http/Idempotency") {
  static readonly layer = Layer.effect(
    Idempotency,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const once: Idempotency["Service"]["once"] = (request, effect) => {
        if (request.key === undefined) return Effect.map(effect, (value) => ({ value, replayed: false }))
        const { userId, route, key } = request
        const hash = createHash("sha256").update(JSON.stringify(request.body)).digest("base64url")
        return Effect.gen(function* () {
          const taken = yield* sql`
            insert into idempotency_keys as k (user_id, route, key, request_hash, status, response)
            values (${userId}, ${route}, ${key}, ${hash}, 201, '{}')
            on conflict (user_id, route, key) do update set request_hash = excluded.request_hash, created_at = now()
            where k.created_at <= now() - interval '24 hours'
            returning 1
          `
          if (taken.length === 0) {
            const [stored] = yield* sql<{ requestHash: string; response: unknown }>`
              select request_hash, response from idempotency_keys
              where user_id = ${userId} and route = ${route} and key = ${key}
            `
            if (stored?.requestHash !== hash) return yield* new IdempotencyKeyReused()
            return { value: stored.response as Effect.Success<typeof effect>, replayed: true }
          }
          const value = yield* effect
          yield* sql`
            update idempotency_keys set response = ${JSON.stringify(value)}::text::jsonb
            where user_id = ${userId} and route = ${route} and key = ${key}
          `
          return { value, replayed: false }
        }).pipe(sql.withTransaction, Effect.catchTag("SqlError", Effect.die))
      }

      return Idempotency.of({ once })
    })
  )
}
