import { createHash } from "node:crypto"
import { Context, Duration, Effect, Layer, Ref, Stream } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { CurrentSession, Tier, UserId } from "../api/auth/User.ts"
import { type File, FileId } from "../api/files/File.ts"
import {
  AttachmentsNotInPlan,
  EmptyFile,
  FileTooLarge,
  type FileUnreadable,
  StorageFull,
  StorageUnavailable,
  UploadsLimited
} from "../api/files/FileErrors.ts"
import { type FileType, maximumBytes } from "../api/files/FileTypes.ts"
import type { IdempotencyKeyReused } from "../api/Idempotency.ts"
import { Throttle } from "../auth/Throttle.ts"
import { forTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { type BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import type { BodyEnded } from "../ops/StreamedBody.ts"
import { fileColumns, type FileRow, toFile } from "./FileRow.ts"
import { chunkBytes, Files, type StorageFailure } from "./Files.ts"
import { inspect, makeTextCheck, proveType } from "./Inspection.ts"

const uploadsAnHour = { limit: 60, period: Duration.hours(1) }
/** Uploads of one user in one process, and those that wait for their turn. */
const turns = { permits: 4, waiting: 60, maxWait: "45 seconds" } as const
/** Minutes after which an upload whose process has not ended it is deleted; the longest upload takes ten. */
const abandonedMinutes = 20
/** Hours that a file is kept that no question uses. */
const unusedHours = 24

type Body = Stream.Stream<Uint8Array, BodyEnded>

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

/** How an upload is made only once. */
export interface Repetition {
  /** Whether the request repeats another one, as far as it is known before its body has come. */
  readonly isExpected: boolean
  /** Completes the upload of these bytes, unless the request is a repetition, which gets what the first one has made. */
  readonly once: <E>(
    sha256: string,
    complete: Effect.Effect<Made, E>
  ) => Effect.Effect<{ readonly value: Made; readonly replayed: boolean }, E | IdempotencyKeyReused>
}

type Refusal =
  | AttachmentsNotInPlan
  | EmptyFile
  | FileTooLarge
  | FileUnreadable
  | IdempotencyKeyReused
  | StorageFull
  | StorageUnavailable
  | UploadsLimited

/** What has come of a body. */
interface Received {
  readonly bytes: number
  readonly sha256: string
  /** The first piece. */
  readonly head: Uint8Array
}

/** Takes files in: a body is counted, checked and stored piece by piece, and is a file when all of it is proved. */
export class Uploads extends Context.Service<
  Uploads,
  {
    /** Fails when users of the tier may not upload files. */
    readonly checkPlan: (tier: Tier) => Effect.Effect<void, AttachmentsNotInPlan>
    /**
     * Stores bytes that came in a request of another kind, within the same bounds as an upload. Bytes that are a file of the
     * user already are that file, and no new upload.
     */
    readonly store: (
      user: CurrentSession,
      file: { readonly name: string; readonly type: FileType; readonly bytes: Uint8Array }
    ) => Effect.Effect<File, Exclude<Refusal, IdempotencyKeyReused> | BulkheadFull>
    /** Stores a body, of which nothing is read before the upload has been admitted. */
    readonly upload: (
      user: CurrentSession,
      announced: Announced,
      body: Body,
      repetition: Repetition
    ) => Effect.Effect<Made & { readonly replayed: boolean }, Refusal | BulkheadFull | BodyEnded>
  }
>()("chat-backend/files/Uploads") {
  static readonly layer = Layer.effect(
    Uploads,
    Effect.gen(function* () {
      const { attachments, frontEnd, storageBytes } = yield* AppConfig
      const sql = yield* SqlClient.SqlClient
      const files = yield* Files
      const throttle = yield* Throttle
      const bulkhead = makeBulkhead(turns)

      const checkPlan: Uploads["Service"]["checkPlan"] = (tier) =>
        attachments === "all" || (attachments === "pro" && tier !== "basic")
          ? Effect.void
          : Effect.fail(new AttachmentsNotInPlan({ upgradeUrl: attachments === "off" ? null : frontEnd.upgrade }))

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

      /** Passes the pieces on, and notes what came; fails at the piece that is too much. */
      const watch = Effect.fnUntraced(function* <E>(
        type: FileType,
        body: Body,
        onPiece: (piece: Uint8Array) => Effect.Effect<void, E>
      ) {
        const hash = createHash("sha256")
        const checkText = type.kind === "text" ? makeTextCheck() : () => Effect.void
        const received = yield* Ref.make<Omit<Received, "sha256">>({ bytes: 0, head: new Uint8Array() })
        const limit = maximumBytes[type.kind]
        const pieces = body.pipe(
          Stream.tap((piece) =>
            Effect.gen(function* () {
              const before = yield* Ref.get(received)
              const bytes = before.bytes + piece.length
              if (bytes > limit) return yield* new FileTooLarge({ limit })
              if (before.bytes === 0) yield* proveType(type, piece)
              yield* checkText(piece)
              yield* onPiece(piece)
              hash.update(piece)
              yield* Ref.set(received, { bytes, head: before.bytes === 0 ? piece : before.head })
            })
          )
        )
        const end = Effect.gen(function* () {
          const { bytes, head } = yield* Ref.get(received)
          if (bytes === 0) return yield* new EmptyFile()
          yield* checkText(undefined)
          return { bytes, head, sha256: hash.digest("hex") }
        })
        return { pieces, end }
      })

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

      const unavailable = (error: StorageFailure) =>
        Effect.andThen(
          Effect.logWarning("The storage of files failed", error),
          Effect.fail(new StorageUnavailable({ retryAfter: 5 }))
        )

      const storeBody = Effect.fnUntraced(
        function* (user: CurrentSession, announced: Announced, id: FileId, body: Body) {
          const key = { userId: user.userId, fileId: id }
          const { type } = announced
          const { end, pieces } = yield* watch(type, body, (piece) =>
            announced.bytes === undefined ? extend(user, id, piece.length) : Effect.void
          )
          yield* files.put(key, type.name, pieces)
          const received = yield* end
          const facts = yield* inspect(type, received.bytes, received.head, (range) => files.get(key, range))
          return { received, facts }
        },
        Effect.catchTag("StorageFailure", unavailable)
      )

      /** A repetition: its body is compared with the first one, and not stored. */
      const repeat = Effect.fnUntraced(function* ({ type }: Announced, body: Body, { once }: Repetition) {
        const { end, pieces } = yield* watch(type, body, () => Effect.void)
        yield* Stream.runDrain(pieces)
        const { sha256 } = yield* end
        // The key has expired since.
        const { replayed, value } = yield* once(sha256, Effect.fail(new StorageUnavailable({ retryAfter: 1 })))
        return { ...value, replayed }
      })

      const receive = Effect.fnUntraced(function* (user: CurrentSession, announced: Announced, body: Body, { once }: Repetition) {
        const id = yield* begin(user, announced)
        return yield* Effect.gen(function* () {
          const { facts, received } = yield* storeBody(user, announced, id, body)
          const completed = retryConflicts(sql)(complete(user.userId, id, received, facts))
          const { replayed, value } = yield* once(received.sha256, Effect.orDie(completed))
          // The user has had the file, or another request with the same key was faster.
          if (value.file.id !== id) yield* discard(user.userId, id)
          return { ...value, replayed }
        }).pipe(Effect.onError(() => discard(user.userId, id)))
      })

      const upload: Uploads["Service"]["upload"] = Effect.fn("Uploads.upload")(function* (user, announced, body, repetition) {
        const limit = maximumBytes[announced.type.kind]
        if (announced.bytes === 0) return yield* new EmptyFile()
        if (announced.bytes !== undefined && announced.bytes > limit) return yield* new FileTooLarge({ limit })
        if (repetition.isExpected) return yield* bulkhead.run(user.userId, repeat(announced, body, repetition))
        const wait = yield* throttle.take(`files:${user.userId}`, uploadsAnHour)
        if (wait > 0) return yield* new UploadsLimited({ retryAfter: wait })
        return yield* bulkhead.run(user.userId, receive(user, announced, body, repetition))
      })

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

      const store: Uploads["Service"]["store"] = Effect.fn("Uploads.store")(function* (user, { bytes, name, type }) {
        yield* checkPlan(user.tier)
        const same = yield* findSame(user.userId, createHash("sha256").update(bytes).digest("hex"))
        if (same !== undefined) return same
        const pieces = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, no) =>
          bytes.subarray(no * chunkBytes, (no + 1) * chunkBytes)
        )
        const once: Repetition["once"] = (_, complete) => Effect.map(complete, (value) => ({ value, replayed: false }))
        const announced = { name, type, bytes: bytes.length }
        const made = yield* upload(user, announced, Stream.fromIterable(pieces), { isExpected: false, once }).pipe(
          // Bytes in memory do not end early, and no key comes with them.
          Effect.catchTags({ BodyEnded: Effect.die, IdempotencyKeyReused: Effect.die })
        )
        return made.file
      })

      return Uploads.of({ checkPlan, store, upload })
    })
  )
}
