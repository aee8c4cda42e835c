import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect, Stream } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { EmptyFile, FileTypeNotSupported, StorageUnavailable } from "../api/files/FileErrors.ts"
import type { UserId } from "../api/auth/User.ts"
import { fileTypeOf, supportedTypes } from "../api/files/FileTypes.ts"
import { BadRequest, RequestTimeout } from "../api/Problems.ts"
import { makeTicketFor } from "../auth/TicketsHttp.ts"
import { Cursors } from "../http/Cursors.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { type BodyEnded, streamedBody } from "../ops/StreamedBody.ts"
import { contentPath, nameIn, storedName } from "./Content.ts"
import { contentResponse, notModified, shownAs } from "./ContentHttp.ts"
import { chunkBytes, Files } from "./Files.ts"
import type { Announced, Made } from "./UploadRows.ts"
import { type Repetition, Uploads } from "./Uploads.ts"
import { UserFiles } from "./UserFiles.ts"

/** Seconds for which an address of S3 is valid that a client is sent to. */
const addressSeconds = 300

const notSupported = (detail?: string) =>
  new FileTypeNotSupported({ supported: supportedTypes, ...(detail === undefined ? {} : { detail }) })

/** What the head of an upload announces. */
const announcedBy = Effect.fnUntraced(function* ({ headers }: HttpServerRequest.HttpServerRequest, name: string | undefined) {
  const type = fileTypeOf(headers["content-type"] ?? "")
  if (type === undefined) return yield* notSupported()
  const encoding = headers["content-encoding"]
  if (encoding !== undefined && encoding !== "identity") return yield* notSupported("Compressed bodies are not supported")
  const length = headers["content-length"]
  if (length === undefined && headers["transfer-encoding"] === undefined) return yield* new EmptyFile()
  return {
    name: storedName(name ?? nameIn(headers["content-disposition"]) ?? "file"),
    type,
    bytes: length === undefined ? undefined : Number(length)
  }
})

/** A repeated request gets the file as it was. */
const kept = { keep: (made: Made) => made, restore: (made: Made) => made }

/** A client that has gone gets no answer, and one that is too slow the one for slow bodies. */
const bodyProblem = ({ reason }: BodyEnded) => Effect.die(reason === "slow" ? new RequestTimeout() : new BadRequest())

export const FilesHttp = HttpApiBuilder.group(
  Api,
  "files",
  Effect.fn(function* (handlers) {
    const cursors = yield* Cursors
    const files = yield* Files
    const idempotency = yield* Idempotency
    const ticketFor = yield* makeTicketFor
    const uploads = yield* Uploads
    const userFiles = yield* UserFiles

    /** The body, which a client that asked for it (`Expect`) sends now. */
    const bodyOf = (request: HttpServerRequest.HttpServerRequest) =>
      Stream.suspend(() => {
        const incoming = NodeHttpServerRequest.toIncomingMessage(request)
        if (incoming.headers.expect !== undefined) NodeHttpServerRequest.toServerResponse(request).writeContinue()
        return streamedBody(incoming, chunkBytes)
      })

    const repetitionOf = Effect.fnUntraced(function* (userId: UserId, { name, type }: Announced, key: string | undefined) {
      const request = { userId, route: "uploadFile", key }
      const repetition: Repetition = {
        isExpected: yield* idempotency.isUsed(request),
        once: (sha256, complete) => idempotency.once({ ...request, body: { name, type: type.name, sha256 } }, complete, kept)
      }
      return repetition
    })

    return handlers
      .handleRaw(
        "uploadFile",
        Effect.fnUntraced(function* ({ headers, query, request }) {
          const user = yield* CurrentUser
          yield* uploads.checkPlan(user.tier)
          const announced = yield* announcedBy(request, query.name)
          const repetition = yield* repetitionOf(user.userId, announced, headers["idempotency-key"])
          const { file, isNew, replayed } = yield* uploads
            .upload(user, announced, bodyOf(request), repetition)
            .pipe(orTooManyRequests, Effect.catchTag("BodyEnded", bodyProblem))
          return HttpServerResponse.jsonUnsafe(file, {
            status: isNew ? 201 : 200,
            headers: { location: `/files/${file.id}`, ...replayedHeader(replayed) }
          })
        })
      )
      .handle(
        "listFiles",
        Effect.fnUntraced(function* (call) {
          const { userId } = yield* CurrentUser
          return yield* newestFirst(cursors, `files:${userId}`, call, (page) => userFiles.list(userId, page))
        })
      )
      .handle(
        "getFile",
        Effect.fnUntraced(function* ({ params }) {
          const { userId } = yield* CurrentUser
          return yield* userFiles.get(userId, params.id)
        })
      )
      .handle(
        "downloadFile",
        Effect.fnUntraced(function* ({ headers, params }) {
          const { userId } = yield* CurrentUser
          const file = yield* userFiles.get(userId, params.id)
          const unchanged = notModified(file, headers)
          if (unchanged !== undefined) return unchanged
          if (files.url === null) return yield* contentResponse(files, file, userId, headers)
          const address = yield* files
            .url({ userId, fileId: file.id }, addressSeconds, shownAs(file))
            .pipe(Effect.catchTag("StorageFailure", () => Effect.fail(new StorageUnavailable({ retryAfter: 5 }))))
          return HttpServerResponse.redirect(address, { status: 302 })
        })
      )
      .handle(
        "createFileTicket",
        Effect.fnUntraced(function* ({ params, request }) {
          const { userId } = yield* CurrentUser
          yield* userFiles.get(userId, params.id)
          return yield* ticketFor(request, contentPath(params.id))
        })
      )
      .handle(
        "deleteFile",
        Effect.fnUntraced(function* ({ params }) {
          const { userId } = yield* CurrentUser
          yield* userFiles.remove(userId, params.id)
        })
      )
  })
)
