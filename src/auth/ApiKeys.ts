import { Clock, Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { LRUCache } from "lru-cache"
import { v7 as uuid } from "uuid"
import {
  type ApiKey,
  ApiKeyId,
  ApiKeyNotFound,
  type CreateApiKey,
  type NewApiKey,
  TooManyApiKeys
} from "../api/auth/ApiKeysApi.ts"
import { SessionId, UserId } from "../api/auth/User.ts"
import { iso, isoOrNull } from "../api/Schemas.ts"
import { ReadSql } from "../database/Database.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { hashOfSecret, newSecret } from "../keys/SealedSecrets.ts"
import { cacheLookups } from "../ops/Metrics.ts"
import { formatKey, parseKey } from "./KeyFormat.ts"
import { Sessions } from "./Sessions.ts"

/** Keys that a user may have. */
const maximumKeys = 20
/** Owners of keys that are kept in memory. */
const maximumCached = 20_000

const columns = columnsOf(["id", "name", "last4", "createdAt", "expiresAt", "lastUsedAt"])
const hourMillis = Duration.toMillis("1 hour")

/** Whose key it is. A key never changes its owner, so this can be kept; whether the key is alive is asked of `Sessions`. */
interface Owner {
  readonly userId: UserId
  /** The key's id, as `Sessions` has it. */
  readonly keyId: SessionId
  /** The last hour, since 1970, that is stored as a use. */
  usedHour: number
}

/** A new key: its secret, without prefix and checksum, is not stored. */
export type MadeApiKey = Omit<NewApiKey, "key"> & { readonly secret: string }

/** Keys with which programs of a user send requests. `Sessions` reads and caches them as sessions of the user. */
export class ApiKeys extends Context.Service<
  ApiKeys,
  {
    readonly create: (userId: UserId, input: CreateApiKey) => Effect.Effect<MadeApiKey, TooManyApiKeys>
    /** The user's keys before the id `before`, the newest first. */
    readonly list: (
      userId: UserId,
      page: { readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<{ readonly found: ReadonlyArray<ApiKey>; readonly hasMore: boolean }>
    /** Ends a key in every process. */
    readonly remove: (userId: UserId, id: ApiKeyId) => Effect.Effect<void, ApiKeyNotFound>
    /** Deletes all keys of a user, inside `Sessions.change`, which makes every process drop them. */
    readonly removeAll: (userId: UserId) => Effect.Effect<void>
    /** Whose key it is; undefined for an unknown one. The key may have ended since. */
    readonly ownerOf: (key: string) => Effect.Effect<Owner | undefined>
    /** Stores the hour of a use of a key, once an hour. */
    readonly recordUse: (owner: Owner) => Effect.Effect<void>
  }
>()("chat-backend/auth/ApiKeys") {
  static readonly layer = Layer.effect(
    ApiKeys,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const sessions = yield* Sessions
      const owners = new LRUCache<string, Owner>({ max: maximumCached })
      const lookups = yield* cacheLookups("api_keys")

      const create: ApiKeys["Service"]["create"] = Effect.fn("ApiKeys.create")(
        function* (userId, { expiresIn = null, name }) {
          yield* sql`select 1 from users where id = ${userId} for no key update`
          yield* sql`delete from api_keys where user_id = ${userId} and expires_at <= now()`
          const secret = newSecret()
          const last4 = formatKey(secret).slice(-4)
          const [row] = yield* sql<RowOf<Pick<ApiKey, "createdAt" | "expiresAt">> & { readonly id: string }>`
            insert into api_keys (user_id, id, name, key_hash, last4, expires_at)
            select ${userId}, ${uuid()}, ${name}, ${hashOfSecret(secret)}, ${last4},
              date_trunc('milliseconds', clock_timestamp()) + make_interval(secs => ${expiresIn}::float8)
            where (select count(*) from api_keys where user_id = ${userId}) < ${maximumKeys}
            returning id, created_at, expires_at
          `
          if (row === undefined) return yield* new TooManyApiKeys({ limit: maximumKeys })
          const { createdAt, expiresAt, id } = row
          return { id: ApiKeyId.make(id), name, last4, createdAt: iso(createdAt), expiresAt: isoOrNull(expiresAt), secret }
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.catchTag("SqlError", Effect.die)
      )

      const list: ApiKeys["Service"]["list"] = Effect.fn("ApiKeys.list")(function* (userId, { before, limit }) {
        const rows = yield* sql<RowOf<ApiKey>>`
          select ${sql.literal(columns)} from api_keys
          where user_id = ${userId} and (expires_at is null or expires_at > now())
            and (${before ?? null}::uuid is null or id < ${before ?? null}::uuid)
          order by id desc limit ${limit + 1}
        `
        const found = rows.slice(0, limit).map((row) => ({
          id: row.id,
          name: row.name,
          last4: row.last4,
          createdAt: iso(row.createdAt),
          expiresAt: isoOrNull(row.expiresAt),
          lastUsedAt: isoOrNull(row.lastUsedAt)
        }))
        return { found, hasMore: rows.length > limit }
      }, Effect.orDie)

      const remove: ApiKeys["Service"]["remove"] = Effect.fn("ApiKeys.remove")(function* (userId, id) {
        const removed = sql`
          delete from api_keys where user_id = ${userId} and id = ${id} and (expires_at is null or expires_at > now()) returning 1
        `
        const rows = yield* sessions.change(userId, removed.pipe(Effect.orDie))
        if (rows.length === 0) return yield* new ApiKeyNotFound()
      })

      const removeAll: ApiKeys["Service"]["removeAll"] = Effect.fn("ApiKeys.removeAll")(function* (userId) {
        yield* sql`delete from api_keys where user_id = ${userId}`
      }, Effect.orDie)

      const ownerOf: ApiKeys["Service"]["ownerOf"] = Effect.fnUntraced(function* (key) {
        const secret = parseKey(key)
        if (secret === undefined) return undefined
        const hash = hashOfSecret(secret)
        const known = owners.get(hash)
        const counted = known === undefined ? lookups.miss : lookups.hit
        counted.add(1)
        if (known !== undefined) return known
        const [row] = yield* readSql<{ userId: string; id: string; lastUsedAt: Date | null }>`
          select user_id, id, last_used_at from api_keys where key_hash = ${hash}
        `
        if (row === undefined) return undefined
        const usedHour = row.lastUsedAt === null ? 0 : Math.floor(row.lastUsedAt.getTime() / hourMillis)
        const owner: Owner = { userId: UserId.make(row.userId), keyId: SessionId.make(row.id), usedHour }
        owners.set(hash, owner)
        return owner
      }, Effect.orDie)

      const recordUse: ApiKeys["Service"]["recordUse"] = Effect.fnUntraced(function* (owner) {
        const hour = Math.floor((yield* Clock.currentTimeMillis) / hourMillis)
        if (owner.usedHour >= hour) return
        owner.usedHour = hour
        yield* sql`
          update api_keys set last_used_at = date_trunc('hour', now(), 'UTC')
          where user_id = ${owner.userId} and id = ${owner.keyId} and (last_used_at is null or last_used_at < date_trunc('hour', now(), 'UTC'))
        `
      }, Effect.orDie)

      return ApiKeys.of({ create, list, remove, removeAll, ownerOf, recordUse })
    })
  )
}
