import { Effect } from "effect"
import { HttpServerRespondable, HttpServerResponse } from "effect/http"
import type { File } from "../api/files/File.ts"
import { RangeNotSatisfiable } from "../api/files/FileErrors.ts"
import { contentCacheControl } from "../api/files/FilesApi.ts"
import { fileTypeOf } from "../api/files/FileTypes.ts"
import { matchingTag } from "../http/EntityTags.ts"
import { contentDisposition, rangeOf, shownType, tagOf } from "./Content.ts"
import type { Files } from "./Files.ts"

/** What an answer that is a file tells a browser: nothing of it runs, and it is no page. */
const fileHeaders = { "content-security-policy": "sandbox; default-src 'none'", "accept-ranges": "bytes" }

type ShownFile = Pick<File, "id" | "name" | "type" | "bytes" | "sha256">

/** The headers of a request that decide what of the file is sent. */
interface ContentRequest {
  readonly range?: string | undefined
  readonly "if-range"?: string | undefined
  readonly "if-none-match"?: string | undefined
}

/** 304 when the client has the bytes. */
export const notModified = (file: ShownFile, headers: ContentRequest): HttpServerResponse.HttpServerResponse | undefined => {
  const tag = tagOf(file)
  return matchingTag(headers["if-none-match"], tag) === undefined
    ? undefined
    : HttpServerResponse.empty({ status: 304, headers: { etag: tag, "cache-control": contentCacheControl } })
}

export const shownAs = (file: ShownFile) => ({
  name: contentDisposition(file.name),
  type: shownType(file.type, fileTypeOf(file.type)?.kind === "text")
})

/** The bytes of the file, or of the range that is asked for. */
export const contentResponse = (files: Files["Service"], file: ShownFile, userId: string, headers: ContentRequest) => {
  const isOfRange = headers["if-range"] === undefined || headers["if-range"] === tagOf(file)
  const range = rangeOf(isOfRange ? headers.range : undefined, file.bytes)
  if (range === null) {
    const refused = HttpServerRespondable.toResponse(new RangeNotSatisfiable())
    return Effect.map(refused, HttpServerResponse.setHeader("content-range", `bytes */${file.bytes}`))
  }
  const { from, length } = range ?? { from: 0, length: file.bytes }
  const bytes = files.get({ userId, fileId: file.id }, { from, length })
  const { name, type } = shownAs(file)
  return Effect.succeed(
    HttpServerResponse.stream(bytes, {
      status: range === undefined ? 200 : 206,
      contentType: type,
      contentLength: length,
      headers: {
        ...fileHeaders,
        etag: tagOf(file),
        "cache-control": contentCacheControl,
        "content-disposition": name,
        ...(range === undefined ? {} : { "content-range": `bytes ${from}-${from + length - 1}/${file.bytes}` })
      }
    })
  )
}
