import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdmissionClass, AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { IdempotencyKey, IdempotencyKeyReused, Replayed } from "../Idempotency.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { TooManyRequests } from "../Problems.ts"
import { TooManyAttempts } from "../auth/AuthErrors.ts"
import { AcceptsTicket, Ticket, withTicket } from "../Ticket.ts"
import { exampleFile, File, FileId, FileName } from "./File.ts"
import {
  AttachmentsNotInPlan,
  EmptyFile,
  FileNotFound,
  FileTooLarge,
  FileTypeNotSupported,
  FileUnreadable,
  RangeNotSatisfiable,
  StorageFull,
  StorageUnavailable,
  UploadsLimited
} from "./FileErrors.ts"
import { provedTypes, supportedTypes } from "./FileTypes.ts"

const id = { id: FileId.annotate({ description: "File id.", examples: [exampleFile.id] }) }

const exampleTag = `"${exampleFile.sha256}"`

/** The `Cache-Control` of a file's bytes. `no-transform`, because a compressed body would have other ranges and another tag. */
export const contentCacheControl = "private, no-cache, no-transform"

const contentHeaders = {
  etag: Schema.String,
  "cache-control": Schema.Literal(contentCacheControl),
  "content-disposition": Schema.String,
  "accept-ranges": Schema.Literal("bytes")
}
/** The media types of downloads. */
const shownTypes = [...Object.keys(provedTypes), "text/plain"]
export const AllBytes = HttpApiSchema.WithHeaders(HttpApiSchema.StreamUint8Array({ contentType: shownTypes }), contentHeaders)
/** Of the same types, which the document shows. */
export const SomeBytes = HttpApiSchema.WithHeaders(
  Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array(), HttpApiSchema.status(206)),
  {
    ...contentHeaders,
    "content-range": Schema.String
  }
)

/** The client has the bytes. */
export const SameBytes = HttpApiSchema.WithHeaders(
  HttpApiSchema.Empty(304).annotate({ description: "The client has the bytes." }),
  { etag: Schema.String, "cache-control": Schema.Literal(contentCacheControl) }
)

/** What a client may say about the bytes that it wants. */
export const contentRequest = {
  range: Schema.optionalKey(Schema.String.annotate({ description: "RFC 9110: one range of bytes.", examples: ["bytes=0-1023"] })),
  "if-range": Schema.optionalKey(
    Schema.String.annotate({ description: "The `ETag` that the range belongs to.", examples: [exampleTag] })
  ),
  "if-none-match": Schema.optionalKey(
    Schema.String.annotate({ description: "The `ETag` of the bytes that the client has.", examples: [exampleTag] })
  )
}

const uploaded = { location: Schema.String, ...Replayed }

export class FilesApi extends HttpApiGroup.make("files")
  .add(
    HttpApiEndpoint.post("uploadFile", "/", {
      query: {
        name: Schema.optionalKey(
          FileName.annotate({
            description: "The file's name; by default that of `Content-Disposition`, or else `file`.",
            examples: ["loom.png"]
          })
        )
      },
      headers: {
        ...IdempotencyKey,
        "content-disposition": Schema.optionalKey(
          Schema.String.annotate({
            description: "RFC 6266: another place for the name.",
            examples: ['attachment; filename="loom.png"']
          })
        )
      },
      payload: HttpApiSchema.StreamUint8Array({ contentType: supportedTypes }),
      success: [
        HttpApiSchema.WithHeaders(File.pipe(HttpApiSchema.status(201)), uploaded),
        HttpApiSchema.WithHeaders(File, uploaded)
      ],
      error: [
        EmptyFile,
        AttachmentsNotInPlan,
        StorageFull,
        FileTooLarge,
        FileTypeNotSupported,
        FileUnreadable,
        IdempotencyKeyReused,
        UploadsLimited,
        TooManyRequests,
        StorageUnavailable
      ]
    })
      .annotateMerge(
        describe(
          "uploadFile",
          "Upload a file",
          "The body is the file, and `Content-Type` its type; both must agree. When the user already has a file with the same bytes, the response is 200 with that file. Images up to 10 MiB, PDF up to 20 MiB and 200 pages, audio up to 20 MiB, text in UTF-8 up to 1 MiB. A file that no question uses within 24 hours is deleted; a used file is deleted with its last question. A user may upload 60 files an hour. An upload ends with an error when less than 128 KiB arrive in 30 seconds, and after ten minutes."
        )
      )
      .annotate(AdmissionClass, "uploading"),
    HttpApiEndpoint.get("listFiles", "/", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(File, "FilePage", exampleFile), linkHeader)
    }).annotateMerge(describe("listFiles", "List files", "The user's files, newest first.")),
    HttpApiEndpoint.get("getFile", "/:id", { params: id, success: File, error: FileNotFound }).annotateMerge(
      describe("getFile", "Get a file", "Its name, type and size; `/content` has its bytes.")
    ),
    HttpApiEndpoint.get("downloadFile", "/:id/content", {
      params: id,
      query: withTicket,
      headers: contentRequest,
      success: [
        AllBytes,
        SomeBytes,
        HttpApiSchema.WithHeaders(
          HttpApiSchema.Empty(302).annotate({ description: "Where the bytes are, for some minutes, when they are in S3." }),
          { location: Schema.String }
        ),
        SameBytes
      ],
      error: [FileNotFound, RangeNotSatisfiable, StorageUnavailable]
    })
      .annotateMerge(
        describe(
          "downloadFile",
          "Download a file",
          "Always as an attachment: a browser saves the file and does not show or run it. `Content-Type` is the file's type; text is `text/plain`."
        )
      )
      .annotate(AcceptsTicket, "download"),
    HttpApiEndpoint.post("createFileTicket", "/:id/content-ticket", {
      params: id,
      success: Ticket.pipe(HttpApiSchema.status(201)),
      error: [FileNotFound, TooManyAttempts]
    }).annotateMerge(
      describe(
        "createFileTicket",
        "Create a ticket for the download of a file",
        "For a download that a browser starts from a link. The ticket is valid for one request within 60 seconds. A user may create 300 tickets an hour."
      )
    ),
    HttpApiEndpoint.delete("deleteFile", "/:id", {
      params: id,
      success: HttpApiSchema.NoContent,
      error: FileNotFound
    })
      .annotateMerge(describe("deleteFile", "Delete a file", "Messages keep its name and type; later prompts do not contain it."))
      .annotate(AllowsKey, false)
  )
  .prefix("/files")
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotate(AllowsKey, true)
  .annotateMerge(OpenApi.annotations({ title: "Files", description: "Images, PDF, audio and text for questions." })) {}
