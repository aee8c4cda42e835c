import { Context, Effect, Layer, Stream } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { type FileId, maximumAttachedBytes } from "../api/files/File.ts"
import {
  AttachmentsTooLarge,
  type AttachmentsNotInPlan,
  type EmptyFile,
  type FileTooLarge,
  FileTypeNotSupported,
  type FileUnreadable,
  type StorageFull,
  type StorageUnavailable,
  type UploadsLimited
} from "../api/files/FileErrors.ts"
import { supportedTypes } from "../api/files/FileTypes.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { storedName } from "../files/Content.ts"
import { chunkBytes } from "../files/Files.ts"
import { Uploads } from "../files/Uploads.ts"
import { UserFiles } from "../files/UserFiles.ts"
import type { BulkheadFull } from "../ops/Bulkhead.ts"
import type { QuestionFile } from "./Question.ts"

type Refusal =
  | AttachmentsNotInPlan
  | AttachmentsTooLarge
  | BulkheadFull
  | EmptyFile
  | FileTooLarge
  | FileTypeNotSupported
  | FileUnreadable
  | StorageFull
  | StorageUnavailable
  | UploadsLimited
  | ValidationFailed

/** The bytes in pieces, as `Uploads` takes them. */
const chunksOf = (bytes: Uint8Array): Stream.Stream<Uint8Array> =>
  Stream.fromIterable(
    Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, no) =>
      bytes.subarray(no * chunkBytes, (no + 1) * chunkBytes)
    )
  )

/** Each request uploads: a file that the user has already is found by its bytes. */
const notRepeated = {
  isExpected: false,
  once: <A, E>(_: string, complete: Effect.Effect<A, E>) => Effect.map(complete, (value) => ({ value, replayed: false }))
}

/** Makes files of the user of the files of a question. */
export class QuestionFiles extends Context.Service<
  QuestionFiles,
  {
    /** The ids of the files, in their order and each once. New ones are stored; those that no question uses go after a day. */
    readonly store: (user: CurrentSession, files: ReadonlyArray<QuestionFile>) => Effect.Effect<ReadonlyArray<FileId>, Refusal>
  }
>()("chat-backend/aisdk/QuestionFiles") {
  static readonly layer = Layer.effect(
    QuestionFiles,
    Effect.gen(function* () {
      const uploads = yield* Uploads
      const userFiles = yield* UserFiles

      const fileOf = Effect.fnUntraced(function* (user: CurrentSession, file: QuestionFile) {
        if ("id" in file) {
          const errors = [{ path: file.path, message: "is not one of the user's files" }]
          return yield* Effect.catchTag(userFiles.get(user.userId, file.id), "FileNotFound", () =>
            Effect.fail(new ValidationFailed({ errors }))
          )
        }
        const { bytes, name, type } = file
        if (type === undefined) return yield* new FileTypeNotSupported({ supported: supportedTypes })
        const announced = { name: storedName(name), type, bytes: bytes.length }
        // Bytes in memory do not end early, and nothing has a key.
        const made = yield* uploads
          .upload(user, announced, chunksOf(bytes), notRepeated)
          .pipe(Effect.catchTags({ BodyEnded: Effect.die, IdempotencyKeyReused: Effect.die }))
        return made.file
      })

      const store: QuestionFiles["Service"]["store"] = Effect.fn("QuestionFiles.store")(function* (user, files) {
        if (files.length === 0) return []
        yield* uploads.checkPlan(user.tier)
        const stored = yield* Effect.forEach(files, (file) => fileOf(user, file))
        const each = [...new Map(stored.map((file) => [file.id, file])).values()]
        const total = each.reduce((sum, { bytes }) => sum + bytes, 0)
        if (total > maximumAttachedBytes) return yield* new AttachmentsTooLarge({ limit: maximumAttachedBytes })
        return each.map(({ id }) => id)
      })

      return QuestionFiles.of({ store })
    })
  )
}
