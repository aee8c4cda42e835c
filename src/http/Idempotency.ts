import { createHash } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { IdempotencyKeyReused } from "../api/Idempotency.ts"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { retryConflicts } from "../database/Transactions.ts"

export interface KeyedRequest {
  readonly userId: UserId
  readonly route: string
  readonly key: string | undefined
  readonly body: unknown
}

interface Answer<A> {
  readonly status: number
  readonly value: A
}

/** The header that tells a client that it gets an earlier answer again. */
export const replayedHeader = (replayed: boolean) => (replayed ? { "idempotent-replayed": "true" as const } : {})

const hashOf = (request: KeyedRequest) => createHash("sha256").update(JSON.stringify(request.body)).digest("base64url")

/**
 * Idempotency keys, kept per user and route for `keyLifetime`; the same key and body replays the first answer, a refused
 * request stores nothing. Sending a message keeps its key in its own transaction (`send_message`).
 */
export class Idempotency extends Context.Service<
  Idempotency,
  {
    /** For an effect that is a transaction of ours: key and writes are one, and a second request waits for the first. */
    readonly once: <A, Kept extends object, E>(
      request: KeyedRequest,
      effect: Effect.Effect<A, E>,
      /** What of the answer is stored, and the answer from that and the same request: bodies are not stored twice. */
      storage: { readonly keep: (value: A) => Kept; readonly restore: (kept: Kept) => A }
    ) => Effect.Effect<{ readonly value: A; readonly replayed: boolean }, E | IdempotencyKeyReused>
    /** Whether a request has used the key, as far as it is known before the body has come. */
    readonly isUsed: (request: Omit<KeyedRequest, "body">) => Effect.Effect<boolean>
    /** For an effect that is repeatable by itself, elsewhere: its first answer is kept when it is known. */
    readonly remember: <A extends object, E>(
      request: KeyedRequest,
      effect: Effect.Effect<Answer<A>, E>
    ) => Effect.Effect<Answer<A> & { readonly replayed: boolean }, E | IdempotencyKeyReused>
  }
>()("chat-backend/http/Idempotency") {
  static readonly layer = Layer.effect(
    Idempotency,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      /** Takes the key, unless it is taken; an expired one is as good as free. */
      const take = ({ key, route, userId }: KeyedRequest, hash: string, answer: Answer<object>) =>
        sql`
          insert into idempotency_keys as k (user_id, route, key, request_hash, status, response)
          values (${userId}, ${route}, ${key}, ${hash}, ${answer.status}, ${JSON.stringify(answer.value)}::text::jsonb)
          on conflict (user_id, route, key) do update set request_hash = excluded.request_hash, status = excluded.status,
            response = excluded.response, created_at = now()
          where k.created_at <= now() - ${keyLifetime}::text::interval
          returning 1
        `.pipe(Effect.map((rows) => rows.length > 0))

      const stored = Effect.fnUntraced(function* <A>({ key, route, userId }: KeyedRequest, hash: string) {
        const [row] = yield* sql<{ requestHash: string; status: number; response: A }>`
          select request_hash, status, response from idempotency_keys
          where user_id = ${userId} and route = ${route} and key = ${key} and created_at > now() - ${keyLifetime}::text::interval
        `
        if (row !== undefined && row.requestHash !== hash) return yield* new IdempotencyKeyReused()
        return row === undefined ? undefined : { status: row.status, value: row.response, replayed: true as const }
      })

      const isUsed: Idempotency["Service"]["isUsed"] = Effect.fn("Idempotency.isUsed")(function* ({ key, route, userId }) {
        if (key === undefined) return false
        const rows = yield* sql`
          select 1 from idempotency_keys
          where user_id = ${userId} and route = ${route} and key = ${key} and created_at > now() - ${keyLifetime}::text::interval
        `
        return rows.length > 0
      }, Effect.orDie)

      const once: Idempotency["Service"]["once"] = <A, Kept extends object, E>(
        request: KeyedRequest,
        effect: Effect.Effect<A, E>,
        { keep, restore }: { readonly keep: (value: A) => Kept; readonly restore: (kept: Kept) => A }
      ) => {
        if (request.key === undefined) return Effect.map(effect, (value) => ({ value, replayed: false }))
        const hash = hashOf(request)
        return Effect.gen(function* () {
          if (!(yield* take(request, hash, { status: 201, value: {} }))) {
            const known = (yield* stored<Kept>(request, hash)) ?? (yield* Effect.die("an idempotency key vanished"))
            return { value: restore(known.value), replayed: true }
          }
          const value = yield* effect
          yield* sql`
            update idempotency_keys set response = ${JSON.stringify(keep(value))}::text::jsonb
            where user_id = ${request.userId} and route = ${request.route} and key = ${request.key}
          `
          return { value, replayed: false }
        }).pipe(sql.withTransaction, retryConflicts(sql), Effect.catchTag("SqlError", Effect.die))
      }

      const remember: Idempotency["Service"]["remember"] = <A extends object, E>(
        request: KeyedRequest,
        effect: Effect.Effect<Answer<A>, E>
      ) => {
        if (request.key === undefined) return Effect.map(effect, (answer) => ({ ...answer, replayed: false }))
        const hash = hashOf(request)
        return Effect.gen(function* () {
          const known = yield* stored<A>(request, hash)
          if (known !== undefined) return known
          const answer = yield* effect
          const isFirst = yield* take(request, hash, answer)
          return isFirst ? { ...answer, replayed: false } : ((yield* stored<A>(request, hash)) ?? { ...answer, replayed: false })
        }).pipe(Effect.catchTag("SqlError", Effect.die))
      }

      return Idempotency.of({ isUsed, once, remember })
    })
  )
}
