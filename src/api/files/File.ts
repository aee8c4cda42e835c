import { Schema } from "effect"
import { ids, times } from "../Examples.ts"
import { Count, text, Timestamp, Uuid } from "../Schemas.ts"

export const FileId = Uuid.pipe(Schema.brand("FileId"))
export type FileId = typeof FileId.Type

/** Files of one question, and bytes that they may have together. */
export const maximumAttachments = 10
export const maximumAttachedBytes = 20 * 1_048_576

export const FileName = text(1, 255)

export const exampleFile = {
  id: FileId.make(ids.file),
  name: "loom.png",
  type: "image/png",
  bytes: 70,
  sha256: "6b3b0e1c1a4a5a1f3f2d3b1e5f7c9a8d0e2f4a6b8c0d1e3f5a7b9c2d4e6f8a0b",
  tokens: 1_100,
  width: 1,
  height: 1,
  pages: null,
  createdAt: times.asked,
  expiresAt: "2026-11-22T09:32:00.000Z"
}

export const File = Schema.Struct({
  id: FileId,
  name: Schema.String,
  type: Schema.String.annotate({ description: "The media type; the bytes were checked against it." }),
  bytes: Count,
  sha256: Schema.String.annotate({ description: "In hexadecimal." }),
  tokens: Count.annotate({ description: "Estimated tokens in a prompt." }),
  width: Schema.NullOr(Count).annotate({ description: "Pixels of an image." }),
  height: Schema.NullOr(Count).annotate({ description: "Pixels of an image." }),
  pages: Schema.NullOr(Count).annotate({ description: "Pages of a PDF; null when they cannot be counted." }),
  createdAt: Timestamp,
  expiresAt: Schema.NullOr(Timestamp).annotate({
    description: "When it is deleted, unless a question uses it before; null once one does."
  })
}).annotate({ identifier: "File", description: "A file that questions can have.", examples: [exampleFile] })
export type File = typeof File.Type

export const Attachment = Schema.Struct({
  id: FileId,
  name: Schema.String,
  type: Schema.String,
  bytes: Count,
  deleted: Schema.Boolean.annotate({ description: "Whether the file has been deleted." })
}).annotate({ identifier: "Attachment", description: "A file of a question." })
export type Attachment = typeof Attachment.Type

/** The files of a question, in the order in which the model gets them. */
export const AttachmentIds = Schema.Array(FileId)
  .check(Schema.isMaxLength(maximumAttachments), Schema.isUnique())
  .annotate({ description: "Ids of uploaded files.", examples: [[exampleFile.id]] })
