import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import type { File, FileId } from "../api/files/File.ts"
import { FileNotFound } from "../api/files/FileErrors.ts"
import { ReadSql } from "../database/Database.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { fileColumns, type FileRow, toFile } from "./FileRow.ts"

/** A user's files; `Uploads` makes them. */
export class UserFiles extends Context.Service<
  UserFiles,
  {
    readonly get: (userId: UserId, id: FileId) => Effect.Effect<File, FileNotFound>
    /** Newest first; with `before`, only older ones than that one. */
    readonly list: (
      userId: UserId,
      page: { readonly limit: number; readonly before: string | undefined }
    ) => Effect.Effect<{ readonly found: ReadonlyArray<File>; readonly hasMore: boolean }>
    /** Deletes a file. Messages keep its name and its type. */
    readonly remove: (userId: UserId, id: FileId) => Effect.Effect<void, FileNotFound>
  }
>()("chat-backend/files/UserFiles") {
  static readonly layer = Layer.effect(
    UserFiles,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const isReady = sql`status = 'ready' and (expires_at is null or expires_at > clock_timestamp())`

      const get: UserFiles["Service"]["get"] = Effect.fn("UserFiles.get")(function* (userId, id) {
        const [row] = yield* readSql<FileRow>`
          select ${sql.literal(fileColumns)} from files where user_id = ${userId} and id = ${id} and ${isReady}
        `.pipe(Effect.orDie)
        return row === undefined ? yield* new FileNotFound() : toFile(row)
      })

      const list: UserFiles["Service"]["list"] = Effect.fn("UserFiles.list")(function* (userId, { before, limit }) {
        const rows = yield* readSql<FileRow>`
          select ${sql.literal(fileColumns)} from files
          where user_id = ${userId} and ${isReady} and (${before ?? null}::uuid is null or id < ${before ?? null}::uuid)
          order by id desc limit ${limit + 1}
        `
        return { found: rows.slice(0, limit).map(toFile), hasMore: rows.length > limit }
      }, Effect.orDie)

      const remove: UserFiles["Service"]["remove"] = Effect.fn("UserFiles.remove")(function* (userId, id) {
        // The user's lock comes first, as in every transaction that changes the user's files.
        const rows = yield* sql`
          with locked as (select id from users where id = ${userId} for no key update)
          delete from files f using locked where f.user_id = locked.id and f.id = ${id} and f.status = 'ready' returning 1
        `.pipe(retryConflicts(sql), Effect.orDie)
        if (rows.length === 0) return yield* new FileNotFound()
      })

      return UserFiles.of({ get, list, remove })
    })
  )
}
