import { Clock, Effect, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../Api.ts"
import { CurrentUser } from "../auth/AuthApi.ts"
import { Cursors } from "../http/Cursors.ts"
import { Idempotency } from "../http/Idempotency.ts"
import { nextLink } from "../http/Pagination.ts"
import { maximumWait } from "./ChatApi.ts"
import { rateLimitHeaders } from "./ChatErrors.ts"
import { Chatrooms, positionOf } from "./Chatrooms.ts"
import { hasEnded, type Message } from "./Message.ts"
import { Messages, type Sent } from "./Messages.ts"
import { secondsUntil } from "./Quota.ts"

const defaultLimit = 20
const messagesShown = 50

const ListPosition = Schema.Struct({ pinned: Schema.Boolean, activeAt: Schema.String, id: Schema.String })
const HistoryPosition = Schema.Struct({ before: Schema.optionalKey(Schema.String), after: Schema.optionalKey(Schema.String) })

/** RFC 7240: the seconds of `Prefer: wait=N`; more than we give is cut, and what cannot be read is ignored. */
const preferredWait = (prefer: string | undefined): number => {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})/i.exec(prefer ?? "")?.[1]
  return seconds === undefined ? 0 : Math.min(Number(seconds), maximumWait)
}

const pollAgain = (message: Message | null) =>
  message === null || hasEnded(message) ? {} : { "retry-after": "1" }

const quotaHeaders = (quota: Sent["quota"], now: number) =>
  quota.limit === null || quota.remaining === null
    ? {}
    : rateLimitHeaders(quota.limit, quota.remaining, secondsUntil(quota.resetsAt, now))

export const ChatHttp = HttpApiBuilder.group(
  Api,
  "chat",
  Effect.fn(function* (handlers) {
    const chatrooms = yield* Chatrooms
    const messages = yield* Messages
    const cursors = yield* Cursors
    const idempotency = yield* Idempotency

    return handlers.handleAll({
      createChatroom: Effect.fnUntraced(function* ({ headers, payload }) {
        const { userId } = yield* CurrentUser
        const request = { userId, route: "createChatroom", key: headers["idempotency-key"], body: payload }
        const { replayed, value } = yield* idempotency.once(request, chatrooms.create(userId, payload))
        return HttpApiSchema.withHeaders({
          body: value,
          headers: { location: `/chatroom/${value.id}`, ...(replayed ? { "idempotent-replayed": "true" as const } : {}) }
        })
      }),

      listChatrooms: Effect.fnUntraced(function* ({ query, request }) {
        const { userId } = yield* CurrentUser
        const archived = query.archived === "true"
        const list = `chatrooms:${userId}:${archived}:${query.q ?? ""}`
        const after = query.cursor === undefined ? undefined : yield* cursors.decode(list, ListPosition, query.cursor)
        const found = yield* chatrooms.list(userId, { limit: query.limit ?? defaultLimit, archived, search: query.q, after })
        const last = found.rooms.at(-1)
        const nextCursor = found.hasMore && last !== undefined ? cursors.encode(list, { ...positionOf(last) }) : null
        return HttpApiSchema.withHeaders({
          body: { data: found.rooms, hasMore: found.hasMore, nextCursor },
          headers: nextLink(request.originalUrl, nextCursor)
        })
      }),

      getChatroom: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        const room = yield* chatrooms.get(userId, params.id)
        const recent = yield* messages.history(userId, params.id, { limit: messagesShown })
        return { ...room, messages: recent.messages.toReversed() }
      }),

      updateChatroom: Effect.fnUntraced(function* ({ params, payload }) {
        const { userId } = yield* CurrentUser
        return yield* chatrooms.update(userId, params.id, payload)
      }),

      deleteChatroom: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        return yield* chatrooms.remove(userId, params.id)
      }),

      listMessages: Effect.fnUntraced(function* ({ params, query, request }) {
        const { userId } = yield* CurrentUser
        const list = `messages:${userId}:${params.id}`
        const position = query.cursor === undefined ? query : yield* cursors.decode(list, HistoryPosition, query.cursor)
        const found = yield* messages.history(userId, params.id, {
          limit: query.limit ?? defaultLimit,
          before: position.before,
          after: position.after
        })
        const last = found.messages.at(-1)
        // A page that went forwards goes on forwards, within whatever bound it began with.
        const next = position.after === undefined ? { before: last?.id ?? "" } : { ...bound(position), after: last?.id ?? "" }
        const nextCursor = found.hasMore ? cursors.encode(list, next) : null
        return HttpApiSchema.withHeaders({
          body: { data: found.messages, hasMore: found.hasMore, nextCursor },
          headers: nextLink(request.originalUrl, nextCursor)
        })
      }),

      sendMessage: Effect.fnUntraced(function* ({ headers, params, payload, query }) {
        const { userId } = yield* CurrentUser
        const key = headers["idempotency-key"]
        const sent = yield* messages.send(userId, params.id, payload.content, key)
        const wait = sent.replayed ? 0 : (query.wait ?? preferredWait(headers.prefer))
        const finished = sent.replayed && sent.status === 201
        const reply = wait > 0 || finished
          ? yield* messages.settled(userId, params.id, sent.reply.id, wait).pipe(
              // Its room was deleted meanwhile: the send itself was accepted all the same.
              Effect.catchTag("MessageNotFound", () => Effect.succeed(sent.reply)),
              Effect.catchTag("ChatroomNotFound", () => Effect.succeed(sent.reply))
            )
          : sent.reply
        const status = hasEnded(reply) ? 201 : 202
        if (status === 201 && key !== undefined && !sent.replayed) yield* messages.answeredFinished(userId, key)
        return HttpServerResponse.jsonUnsafe(
          { message: sent.message, reply: status === 201 ? reply : sent.reply, quota: sent.quota },
          {
            status,
            headers: {
              location: `/chatroom/${params.id}/message/${reply.id}`,
              ...quotaHeaders(sent.quota, yield* Clock.currentTimeMillis),
              ...(status === 202 ? { "retry-after": "1" } : {}),
              ...(sent.replayed ? { "idempotent-replayed": "true" } : {})
            }
          }
        )
      }),

      latest: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentUser
        const { message, reply } = yield* messages.latest(userId, params.id)
        const settled = reply === null || hasEnded(reply) || !query.wait
          ? reply
          : yield* messages.settled(userId, params.id, reply.id, query.wait)
        return HttpApiSchema.withHeaders({ body: { message, reply: settled }, headers: pollAgain(settled) })
      }),

      getMessage: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentUser
        const message = query.wait
          ? yield* messages.settled(userId, params.id, params.mid, query.wait)
          : yield* messages.get(userId, params.id, params.mid)
        return HttpApiSchema.withHeaders({ body: message, headers: pollAgain(message) })
      })
    })
  })
)

const bound = (position: { readonly before?: string }) => (position.before === undefined ? {} : { before: position.before })
