import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { ReauthenticationRequired, TooManyAttempts, Unauthenticated } from "../auth/AuthErrors.ts"
import { NewChatroom } from "../chat/ChatBodies.ts"
import { ChatroomNotFound, ChatroomsLimited, TooManyChatrooms } from "../chat/ChatErrors.ts"
import { ChatroomId } from "../chat/Chatroom.ts"
import { describe } from "../Describe.ts"
import { ada, ids } from "../Examples.ts"
import { IdempotencyKey, IdempotencyKeyReused, Replayed } from "../Idempotency.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { maximumAttachments } from "../files/File.ts"
import { FileNotFound, RangeNotSatisfiable } from "../files/FileErrors.ts"
import { AllBytes, contentRequest, SameBytes, SomeBytes } from "../files/FilesApi.ts"
import { TooManyRequests } from "../Problems.ts"
import { integerFromText } from "../Schemas.ts"
import { CreateShare, exampleShare, NewShare, Share, SharedConversation, SharedPage, ShareId } from "./Share.ts"
import { NothingToShare, ShareNotFound, ShareTooLarge, SharingOff, TooManyShares } from "./ShareErrors.ts"

const token = {
  token: Schema.String.annotate({ description: "The last part of the link.", examples: [ada.shareToken] })
}
const pageQuery = { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) }
const sharedQuery = {
  limit: Schema.optionalKey(Limit),
  after: Schema.optionalKey(Cursor.annotate({ description: "`nextCursor` of the page before." }))
}

/** A user's links, and copies of what others have shared. */
export class SharesApi extends HttpApiGroup.make("shares")
  .add(
    HttpApiEndpoint.post("createShare", "/chatroom/:id/share", {
      params: { id: ChatroomId.annotate({ description: "Chatroom id.", examples: [ChatroomId.make(ids.room)] }) },
      headers: IdempotencyKey,
      payload: CreateShare,
      success: HttpApiSchema.WithHeaders(NewShare.pipe(HttpApiSchema.status(201)), { location: Schema.String, ...Replayed }),
      error: [ChatroomNotFound, NothingToShare, TooManyShares, SharingOff, IdempotencyKeyReused]
    })
      .annotateMerge(
        describe(
          "createShare",
          "Share a conversation by link",
          "The link shows the room's present questions and completed replies, up to `upTo`; later messages are not shown. It ends when it is revoked, when it expires, and when the room is deleted. A user may have 100 live links."
        )
      )
      .annotate(AllowsKey, true),
    HttpApiEndpoint.get("listShares", "/shares", {
      query: pageQuery,
      success: HttpApiSchema.WithHeaders(page(Share, "SharePage", exampleShare), linkHeader)
    }).annotateMerge(describe("listShares", "List the live shared links", "Newest first.")),
    HttpApiEndpoint.delete("revokeShare", "/shares/:id", {
      params: { id: ShareId.annotate({ description: "The link's id.", examples: [ShareId.make(ids.share)] }) },
      success: HttpApiSchema.NoContent,
      error: ShareNotFound
    }).annotateMerge(describe("revokeShare", "Revoke a shared link", "From then on the link is 404, at every process.")),
    HttpApiEndpoint.post("copyShare", "/share/:token/copy", {
      params: token,
      headers: IdempotencyKey,
      success: HttpApiSchema.WithHeaders(NewChatroom.pipe(HttpApiSchema.status(201)), { location: Schema.String, ...Replayed }),
      error: [ShareNotFound, ShareTooLarge, TooManyChatrooms, ChatroomsLimited, TooManyAttempts, IdempotencyKeyReused]
    }).annotateMerge(
      describe(
        "copyShare",
        "Copy a shared conversation into a new chatroom",
        "At most 2,000 messages with 16 MiB of text. It takes no quota."
      )
    )
  )
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Shares", description: "Links to the user's own conversations." })) {}

/** What anyone with a link can read. */
export class SharedApi extends HttpApiGroup.make("shared")
  .add(
    HttpApiEndpoint.get("getShared", "/share/:token", {
      params: token,
      query: sharedQuery,
      success: [
        HttpApiSchema.WithHeaders(SharedConversation, {
          ...linkHeader,
          "x-robots-tag": Schema.Literal("noindex"),
          vary: Schema.String
        }),
        SharedPage.pipe(HttpApiSchema.asText({ contentType: "text/html" }))
      ],
      error: [ShareNotFound, Unauthenticated, ReauthenticationRequired, TooManyAttempts, TooManyRequests]
    }).annotateMerge(
      describe(
        "getShared",
        "Read a shared conversation",
        "Needs no token, unless `SHARING=users`. A link that is wrong, expired or revoked, or whose room was deleted, is 404; after 60 such requests in a minute an address gets 429. A browser (`Accept: text/html`) gets a page. A page ends after 1 MiB of text, so it can have fewer messages than `limit`; `nextCursor` continues. A process reads four pages of a link at a time; further requests wait up to three seconds, then get 429."
      )
    ),
    HttpApiEndpoint.get("getSharedFile", "/share/:token/files/:message/:index", {
      params: {
        ...token,
        message: integerFromText(0, 999_999).annotate({
          description: "The message's place in the conversation, from 0 on.",
          examples: [0]
        }),
        index: integerFromText(0, maximumAttachments - 1).annotate({
          description: "The file's place in the message, from 0 on.",
          examples: [0]
        })
      },
      headers: contentRequest,
      success: [AllBytes, SomeBytes, SameBytes],
      error: [
        ShareNotFound,
        FileNotFound,
        RangeNotSatisfiable,
        Unauthenticated,
        ReauthenticationRequired,
        TooManyAttempts,
        TooManyRequests
      ]
    }).annotateMerge(
      describe(
        "getSharedFile",
        "Download a file of a shared conversation",
        "A file of a message that the link shows, if the link was made with `attachments`; `url` of the message's `attachments` has the address. Like `GET /files/:id/content`, but always from this server, so that a revoked link is 404 at once."
      )
    )
  )
  .annotate(CacheControl, "no-store")
  .annotateMerge(
    OpenApi.annotations({ title: "Shared", description: "Reading and copying conversations that were shared by link." })
  ) {}
