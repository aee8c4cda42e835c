import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"
import { Count } from "../Schemas.ts"
import { supportedTypes } from "./FileTypes.ts"

export class FileNotFound extends HttpApiError.Problem<FileNotFound>()(
  "FileNotFound",
  ...problem("file_not_found", 404, "File not found")
) {}

export class EmptyFile extends HttpApiError.Problem<EmptyFile>()(
  "EmptyFile",
  ...problem("file_empty", 400, "The file is empty")
) {}

const limit = (example: number) => ({ limit: Count.annotate({ description: "The largest allowed.", examples: [example] }) })

export class FileTooLarge extends HttpApiError.Problem<FileTooLarge>()(
  "FileTooLarge",
  ...problem("file_too_large", 413, "The file has more bytes, or pages, than its type may have", limit(10_485_760))
) {}

export class FileTypeNotSupported extends HttpApiError.Problem<FileTypeNotSupported>()(
  "FileTypeNotSupported",
  ...problem("file_type_not_supported", 415, "Files of this type are not supported", {
    supported: Schema.Array(Schema.String).annotate({ description: "Media types of files.", examples: [[...supportedTypes]] })
  })
) {}

export class FileUnreadable extends HttpApiError.Problem<FileUnreadable>()(
  "FileUnreadable",
  ...problem("file_unreadable", 422, "The bytes are not a readable file of this type")
) {}

export class StorageFull extends HttpApiError.Problem<StorageFull>()(
  "StorageFull",
  ...problem("storage_full", 409, "The user's storage is full", limit(209_715_200))
) {}

export class UploadsLimited extends HttpApiError.Problem<UploadsLimited>()(
  "UploadsLimited",
  ...problem("uploads_limited", 429, "Too many uploads in the last hour", retryAfter)
) {}

export class StorageUnavailable extends HttpApiError.Problem<StorageUnavailable>()(
  "StorageUnavailable",
  ...problem("storage_unavailable", 503, "The storage of files is unavailable", retryAfter)
) {}

export class RangeNotSatisfiable extends HttpApiError.Problem<RangeNotSatisfiable>()(
  "RangeNotSatisfiable",
  ...problem("range_not_satisfiable", 416, "The file has no such bytes")
) {}

export class AttachmentsNotInPlan extends HttpApiError.Problem<AttachmentsNotInPlan>()(
  "AttachmentsNotInPlan",
  ...problem("attachments_not_in_plan", 403, "Files are not in the user's plan", {
    upgradeUrl: Schema.NullOr(Schema.String).annotate({
      description: "Where to upgrade; null when the server takes no files.",
      examples: ["https://chat.example.com/subscribe/pro"]
    })
  })
) {}

export class AttachmentsTooLarge extends HttpApiError.Problem<AttachmentsTooLarge>()(
  "AttachmentsTooLarge",
  ...problem("attachments_too_large", 413, "The question's files have too many bytes together", limit(20_971_520))
) {}
