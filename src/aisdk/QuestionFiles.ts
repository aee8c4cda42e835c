import { Context, Effect, Layer } from "effect"
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
        return yield* uploads.store(user, { name: storedName(name), type, bytes })
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
