import { createHash } from "node:crypto"
import { Context, Duration, Effect, Layer, Stream } from "effect"
import type { CurrentSession, Tier } from "../api/auth/User.ts"
import type { File, FileId } from "../api/files/File.ts"
import {
  AttachmentsNotInPlan,
  EmptyFile,
  FileTooLarge,
  type FileUnreadable,
  type StorageFull,
  StorageUnavailable,
  UploadsLimited
} from "../api/files/FileErrors.ts"
import { type FileType, maximumBytes } from "../api/files/FileTypes.ts"
import type { IdempotencyKeyReused } from "../api/Idempotency.ts"
import { Throttle } from "../auth/Throttle.ts"
import { AppConfig } from "../config/Settings.ts"
import { type BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import type { BodyEnded } from "../ops/StreamedBody.ts"
import { chunkBytes, Files, type StorageFailure } from "./Files.ts"
import { inspect } from "./Inspection.ts"
import { type Body, receive } from "./ReceivedBody.ts"
import { type Announced, type Made, makeUploadRows } from "./UploadRows.ts"

const uploadsAnHour = { limit: 60, period: Duration.hours(1) }
/** Uploads of one user in one process, and those that wait for their turn. */
const turns = { permits: 4, waiting: 60, maxWait: "45 seconds" } as const
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
      const { attachments, frontEnd } = yield* AppConfig
      const files = yield* Files
      const throttle = yield* Throttle
      const rows = yield* makeUploadRows
      const bulkhead = makeBulkhead(turns)

      const checkPlan: Uploads["Service"]["checkPlan"] = (tier) =>
        attachments === "all" || (attachments === "pro" && tier !== "basic")
          ? Effect.void
          : Effect.fail(new AttachmentsNotInPlan({ upgradeUrl: attachments === "off" ? null : frontEnd.upgrade }))

      const unavailable = (error: StorageFailure) =>
        Effect.andThen(
          Effect.logWarning("The file storage failed", error),
          Effect.fail(new StorageUnavailable({ retryAfter: 5 }))
        )

      const storeBody = Effect.fnUntraced(
        function* (user: CurrentSession, announced: Announced, id: FileId, body: Body) {
          const key = { userId: user.userId, fileId: id }
          const { type } = announced
          const { end, pieces } = yield* receive(type, body, (piece) =>
            announced.bytes === undefined ? rows.extend(user, id, piece.length) : Effect.void
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
        const { end, pieces } = yield* receive(type, body, () => Effect.void)
        yield* Stream.runDrain(pieces)
        const { sha256 } = yield* end
        // The key has expired since.
        const { replayed, value } = yield* once(sha256, Effect.fail(new StorageUnavailable({ retryAfter: 1 })))
        return { ...value, replayed }
      })

      const take = Effect.fnUntraced(function* (user: CurrentSession, announced: Announced, body: Body, { once }: Repetition) {
        const id = yield* rows.begin(user, announced)
        return yield* Effect.gen(function* () {
          const { facts, received } = yield* storeBody(user, announced, id, body)
          const completed = Effect.orDie(rows.complete(user.userId, id, received, facts))
          const { replayed, value } = yield* once(received.sha256, completed)
          // The user has had the file, or another request with the same key was faster.
          if (value.file.id !== id) yield* rows.discard(user.userId, id)
          return { ...value, replayed }
        }).pipe(Effect.onError(() => rows.discard(user.userId, id)))
      })

      const upload: Uploads["Service"]["upload"] = Effect.fn("Uploads.upload")(function* (user, announced, body, repetition) {
        const limit = maximumBytes[announced.type.kind]
        if (announced.bytes === 0) return yield* new EmptyFile()
        if (announced.bytes !== undefined && announced.bytes > limit) return yield* new FileTooLarge({ limit })
        if (repetition.isExpected) return yield* bulkhead.run(user.userId, repeat(announced, body, repetition))
        const wait = yield* throttle.take(`files:${user.userId}`, uploadsAnHour)
        if (wait > 0) return yield* new UploadsLimited({ retryAfter: wait })
        return yield* bulkhead.run(user.userId, take(user, announced, body, repetition))
      })

      const store: Uploads["Service"]["store"] = Effect.fn("Uploads.store")(function* (user, { bytes, name, type }) {
        yield* checkPlan(user.tier)
        const same = yield* rows.findSame(user.userId, createHash("sha256").update(bytes).digest("hex"))
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
