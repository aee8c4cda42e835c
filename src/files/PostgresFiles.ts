import { Effect, Layer, Option, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError } from "effect/sql/SqlError"
import { chunkBytes, Files, StorageFailure } from "./Files.ts"

/** Chunks that one statement deletes: 4 MiB. */
const deletedTogether = 16

const failed = (cause: unknown) => new StorageFailure({ detail: "Postgres did not answer", cause })

/** Files as rows of 256 KiB, which are written, read and deleted piece by piece: neither process nor server holds a file. */
export const makePostgresFiles = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return Files.of({
    url: null,

    put: (key, _, chunks) =>
      chunks.pipe(
        Stream.zipWithIndex,
        Stream.runForEach(([body, no]) =>
          // The row is locked, so that no chunk comes after its deletion, which has the chunks removed.
          sql`
            insert into file_chunks (user_id, file_id, no, body)
            select user_id, id, ${no}::int, ${body}::bytea from files
            where user_id = ${key.userId} and id = ${key.fileId} and status = 'uploading' for key share
            returning 1
          `.pipe(
            Effect.filterOrFail(
              (rows) => rows.length > 0,
              () => new StorageFailure({ detail: "the upload was removed" })
            )
          )
        ),
        Effect.catchIf(isSqlError, (error) => Effect.fail(failed(error)))
      ),

    get: (key, { from, length }) =>
      Stream.paginate(from, (at) => {
        const end = from + length
        if (at >= end) return Effect.succeed([[], Option.none<number>()] as const)
        const offset = at % chunkBytes
        const wanted = Math.min(chunkBytes - offset, end - at)
        return sql<{ readonly body: Uint8Array }>`
          select substring(body from ${offset + 1}::int for ${wanted}::int) as body from file_chunks
          where user_id = ${key.userId} and file_id = ${key.fileId} and no = ${Math.floor(at / chunkBytes)}::int
        `.pipe(
          Effect.mapError(failed),
          Effect.flatMap(([row]) =>
            row === undefined || row.body.length !== wanted
              ? Effect.fail(new StorageFailure({ detail: "the file has no such bytes" }))
              : Effect.succeed([[row.body], at + wanted < end ? Option.some(at + wanted) : Option.none()] as const)
          )
        )
      }),

    remove: (key) =>
      sql<{ readonly deleted: number }>`
        with gone as (
          delete from file_chunks where (user_id, file_id, no) in (
            select user_id, file_id, no from file_chunks where user_id = ${key.userId} and file_id = ${key.fileId}
            order by no limit ${deletedTogether})
          returning 1
        )
        select count(*)::int as deleted from gone
      `.pipe(Effect.repeat({ until: ([row]) => (row?.deleted ?? 0) < deletedTogether }), Effect.mapError(failed), Effect.asVoid)
  })
})

export const PostgresFilesLayer = Layer.effect(Files, makePostgresFiles)
