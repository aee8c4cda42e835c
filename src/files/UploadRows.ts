import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import { type File, FileId } from "../api/files/File.ts"
import { StorageFull } from "../api/files/FileErrors.ts"
import type { FileType } from "../api/files/FileTypes.ts"
import { forTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { fileColumns, type FileRow, toFile } from "./FileRow.ts"
import type { inspect } from "./Inspection.ts"
import type { Received } from "./ReceivedBody.ts"

/** Minutes after which an upload whose process has not ended it is deleted; the longest upload takes ten. */
const abandonedMinutes = 20
/** Hours that a file is kept that no question uses. */
const unusedHours = 24

/** An upload as its request announces it. */
export interface Announced {
  readonly name: string
  readonly type: FileType
  /** Undefined for a body that comes in chunks of unknown number. */
  readonly bytes: number | undefined
}

/** What an upload has made. */
export interface Made {
  readonly file: File
  /** Whether it is a new file: else the user has one with the same bytes. */
  readonly isNew: boolean
}

/** The rows of uploads, and the storage of their users that they take. */
export const makeUploadRows = Effect.gen(function* () {
  const { storageBytes } = yield* AppConfig
  const sql = yield* SqlClient.SqlClient

  /** Takes storage for a new upload, or nothing when there is not enough. */
  const begin = Effect.fnUntraced(function* ({ tier, userId }: CurrentSession, { bytes = 0, name, type }: Announced) {
    const id = FileId.make(uuid())
    const limit = forTier(storageBytes, tier)
    const rows = yield* sql`
      with reserved as (
        update users set file_bytes = file_bytes + ${bytes}::int
        where id = ${userId} and file_bytes + ${bytes}::int <= ${limit}::float8 returning 1
      )
      insert into files (user_id, id, name, type, kind, bytes, expires_at)
      select ${userId}, ${id}, ${name}, ${type.name}, ${type.kind}, ${bytes}::int,
        clock_timestamp() + make_interval(mins => ${abandonedMinutes}) from reserved
      returning 1
    `.pipe(Effect.orDie)
    return rows.length > 0 ? id : yield* new StorageFull({ limit })
  })

  /** Takes more storage for an upload that did not say how long it is. */
  const extend = Effect.fnUntraced(function* ({ tier, userId }: CurrentSession, id: FileId, bytes: number) {
    const limit = forTier(storageBytes, tier)
    const rows = yield* sql`
      with reserved as (
        update users set file_bytes = file_bytes + ${bytes}::int
        where id = ${userId} and file_bytes + ${bytes}::int <= ${limit}::float8
          and exists (select from files where user_id = ${userId} and id = ${id} and status = 'uploading')
        returning 1
      )
      update files set bytes = bytes + ${bytes}::int from reserved where user_id = ${userId} and id = ${id} returning 1
    `.pipe(Effect.orDie)
    if (rows.length === 0) return yield* new StorageFull({ limit })
  })

  /** The trigger of the deletion gives the storage back, and has what was stored removed. */
  const discard = (userId: UserId, id: FileId) =>
    sql`
      with locked as (select id from users where id = ${userId} for no key update)
      delete from files f using locked where f.user_id = locked.id and f.id = ${id}
    `.pipe(retryConflicts(sql), Effect.orDie)

  /** The file with these bytes that the user has, or else the upload, which is a file from now on. */
  const complete = Effect.fnUntraced(
    function* (userId: UserId, id: FileId, { bytes, sha256 }: Received, facts: Effect.Success<ReturnType<typeof inspect>>) {
      yield* sql`select from users where id = ${userId} for no key update`
      const [same] = yield* sql<FileRow>`
      update files set expires_at = case when expires_at is not null then clock_timestamp() + make_interval(hours => ${unusedHours}) end
      where user_id = ${userId} and sha256 = ${sha256} and status = 'ready' returning ${sql.literal(fileColumns)}
    `
      if (same !== undefined) return { file: toFile(same), isNew: false }
      const [row] = yield* sql<FileRow>`
      update files set status = 'ready', sha256 = ${sha256}, tokens = ${facts.tokens}, width = ${facts.width}::int,
        height = ${facts.height}::int, pages = ${facts.pages}::int,
        expires_at = date_trunc('milliseconds', clock_timestamp()) + make_interval(hours => ${unusedHours})
      where user_id = ${userId} and id = ${id} and status = 'uploading' and bytes = ${bytes}
      returning ${sql.literal(fileColumns)}
    `
      if (row === undefined) return yield* Effect.die(new Error("an upload vanished before it was complete"))
      return { file: toFile(row), isNew: true }
    },
    sql.withTransaction,
    retryConflicts(sql)
  )

  /** The user's file with these bytes, which is kept for another day; undefined when there is none. */
  const findSame = Effect.fnUntraced(function* (userId: UserId, sha256: string) {
    const [same] = yield* sql<FileRow>`
      update files set expires_at = case when expires_at is not null then clock_timestamp() + make_interval(hours => ${unusedHours}) end
      where user_id = ${userId} and sha256 = ${sha256} and status = 'ready'
        and (expires_at is null or expires_at > clock_timestamp())
      returning ${sql.literal(fileColumns)}
    `.pipe(Effect.orDie)
    return same === undefined ? undefined : toFile(same)
  })

  return { begin, extend, discard, complete, findSame }
})
