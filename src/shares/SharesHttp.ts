import { Effect, Layer, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"
import { FileNotFound } from "../api/files/FileErrors.ts"
import type { NewShare } from "../api/shares/Share.ts"
import { SharingOff } from "../api/shares/ShareErrors.ts"
import { makeAuthenticate } from "../auth/Authentication.ts"
import { ChatroomList } from "../chat/ChatroomList.ts"
import { newChatroom } from "../chat/ChatroomRow.ts"
import { RoomCopies } from "../chat/RoomCopies.ts"
import { AppConfig } from "../config/Settings.ts"
import { contentResponse, notModified } from "../files/ContentHttp.ts"
import { Files } from "../files/Files.ts"
import { pathFor } from "../http/ApiPrefix.ts"
import { Cursors } from "../http/Cursors.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { originOf } from "../http/Origin.ts"
import { makeSealedSecrets, type SealedSecret } from "../keys/SealedSecrets.ts"
import { SharedMessages } from "./SharedMessages.ts"
import { pageOf, pagePolicy, wantsPage } from "./SharePage.ts"
import { type MadeShare, Shares } from "./Shares.ts"
import { ShareViews } from "./ShareViews.ts"

/** The token is undefined when a replay cannot open it. */
type ShownShare = Omit<MadeShare, "token"> & { readonly token: string | undefined }

const OwnRoutes = HttpApiBuilder.group(
  Api,
  "shares",
  Effect.fn(function* (handlers) {
    const { appUrl, sharing } = yield* AppConfig
    const shares = yield* Shares
    const messages = yield* SharedMessages
    const copies = yield* RoomCopies
    const chatroomList = yield* ChatroomList
    const cursors = yield* Cursors
    const idempotency = yield* Idempotency
    const secrets = yield* makeSealedSecrets

    /** The stored response of a new link: its token is sealed. */
    const keep = ({ token = "", ...share }: ShownShare) => ({ ...share, ...secrets.seal("share", share.id, token) })
    const restore = ({ hash, sealed, ...share }: Omit<ShownShare, "token"> & SealedSecret): ShownShare => ({
      ...share,
      token: secrets.open("share", share.id, { hash, sealed })
    })

    return handlers.handleAll({
      createShare: Effect.fnUntraced(function* ({ headers, params, payload }) {
        const { userId } = yield* CurrentUser
        if (sharing === "off") return yield* new SharingOff()
        const body = { room: params.id, ...payload }
        const request = { userId, route: "createShare", key: headers["idempotency-key"], body }
        const create = Effect.map(shares.create(userId, params.id, payload), (made): ShownShare => made)
        const { replayed, value } = yield* idempotency.once(request, create, { keep, restore })
        const { attachments = false, createdAt, expiresAt, id, messages, title, token } = value
        if (token === undefined) return yield* Effect.die("the key that sealed the link's token is no longer in JWT_KEYS")
        const made: NewShare = { id, url: `${appUrl}/share/${token}`, title, createdAt, expiresAt, attachments, messages }
        return HttpApiSchema.withHeaders({ body: made, headers: { location: `/share/${token}`, ...replayedHeader(replayed) } })
      }),

      listShares: Effect.fnUntraced(function* (call) {
        const { userId } = yield* CurrentUser
        return yield* newestFirst(cursors, `shares:${userId}`, call, (page) => shares.list(userId, page))
      }),

      revokeShare: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        yield* shares.revoke(userId, params.id)
      }),

      copyShare: Effect.fnUntraced(function* ({ headers, params, request }) {
        const { userId } = yield* CurrentUser
        const { address } = yield* originOf(request)
        const body = { share: params.token }
        // Opened before the transaction of the idempotency key, whose rollback would forget a miss.
        const opened = yield* Effect.result(shares.open(params.token, address))
        const copy = Effect.gen(function* () {
          const share = yield* Effect.fromResult(opened)
          return yield* copies.copy(userId, share.title, { ownerId: share.userId, messages: yield* messages.all(share) })
        })
        const keyed = { userId, route: "copyShare", key: headers["idempotency-key"], body }
        const { replayed, value } = yield* idempotency.once(keyed, copy, {
          keep: ({ createdAt, headId, id, lastMessageAt, title, updatedAt }) => ({
            createdAt,
            headId,
            id,
            lastMessageAt,
            title,
            updatedAt
          }),
          restore: ({ headId, lastMessageAt, title, ...kept }) => ({ ...newChatroom({ title }, kept), headId, lastMessageAt })
        })
        chatroomList.forget(userId)
        return HttpApiSchema.withHeaders({
          body: value,
          headers: { location: `/chatroom/${value.id}`, ...replayedHeader(replayed) }
        })
      })
    })
  })
)

/** A number instead of a message's id, which a cursor would show. */
const Position = Schema.Struct({ skipped: Schema.Int })

const PublicRoutes = HttpApiBuilder.group(
  Api,
  "shared",
  Effect.fn(function* (handlers) {
    const { sharing } = yield* AppConfig
    const authenticate = yield* makeAuthenticate
    const shares = yield* Shares
    const messages = yield* SharedMessages
    const views = yield* ShareViews
    const files = yield* Files
    const cursors = yield* Cursors

    return handlers.handleAll({
      getShared: Effect.fnUntraced(function* ({ params, query, request }) {
        if (sharing === "users") yield* authenticate(request.headers["authorization"])
        const share = yield* shares.open(params.token, (yield* originOf(request)).address)
        const list = `shared:${share.id}`
        const skipped = query.after === undefined ? 0 : (yield* cursors.decode(list, Position, query.after, "after")).skipped
        const base = yield* pathFor(request, `/share/${params.token}/files`)
        const addressOf = (message: number, index: number) => `${base}/${message}/${index}`
        const page = yield* orTooManyRequests(messages.page(share, { limit: query.limit ?? defaultLimit, skipped, addressOf }))
        if (skipped === 0) views.add(share)
        const nextCursor = page.hasMore ? cursors.encode(list, { skipped: skipped + page.messages.length }) : null
        const body = { title: share.title, createdAt: share.createdAt.toISOString(), ...page, nextCursor }
        const headers = { "x-robots-tag": "noindex" as const, vary: "Accept" }
        if (wantsPage(request.headers["accept"])) {
          return HttpServerResponse.text(pageOf(body, nextQuery(query.limit, nextCursor)), {
            contentType: "text/html; charset=utf-8",
            headers: { ...headers, "content-security-policy": pagePolicy }
          })
        }
        return HttpApiSchema.withHeaders({ body, headers: { ...nextLink(request.originalUrl, nextCursor, "after"), ...headers } })
      }),

      getSharedFile: Effect.fnUntraced(function* ({ headers, params, request }) {
        if (sharing === "users") yield* authenticate(request.headers["authorization"])
        const share = yield* shares.open(params.token, (yield* originOf(request)).address)
        const file = yield* orTooManyRequests(messages.file(share, params))
        if (file === undefined) return yield* new FileNotFound()
        const response = notModified(file, headers) ?? (yield* contentResponse(files, file, share.userId, headers))
        return HttpServerResponse.setHeader(response, "x-robots-tag", "noindex")
      })
    })
  })
)

/** The next page's address, relative to this one. */
const nextQuery = (limit: number | undefined, cursor: string | null): string | undefined =>
  cursor === null
    ? undefined
    : `?${new URLSearchParams({ ...(limit === undefined ? {} : { limit: String(limit) }), after: cursor })}`

export const SharesHttp = Layer.mergeAll(OwnRoutes, PublicRoutes)
