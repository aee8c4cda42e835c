import { Clock, Effect, Schema, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import type { Tier, UserId } from "../api/auth/User.ts"
import type { ChatroomId, CreateChatroom, UpdateChatroom } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message } from "../api/chat/Message.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"
import { Cursors } from "../http/Cursors.ts"
import { Models } from "../models/Models.ts"
import { mergeThinking } from "../models/Thinking.ts"
import { makeTicketFor } from "../auth/TicketsHttp.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { rememberGzip } from "../http/Precompressed.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { ChatroomList } from "./ChatroomList.ts"
import { newChatroom } from "./ChatroomRow.ts"
import { Chatrooms } from "./Chatrooms.ts"
import { exchangeResponse } from "./ExchangeHttp.ts"
import { answerFirstPages, cursorsOf, listAnswer } from "./ListHttp.ts"
import { Messages } from "./Messages.ts"
import { RoomExport } from "./RoomExport.ts"
import { preferredWait } from "./PreferredWait.ts"
import { makeSendAndWait } from "./SendAndWait.ts"

const messagesShown = 50

const HistoryPosition = Schema.Struct({ before: Schema.optionalKey(Schema.String), after: Schema.optionalKey(Schema.String) })

const pollAgain = (message: Message | null) => (message === null || hasEnded(message) ? {} : { "retry-after": "1" })

export const ChatHttp = HttpApiBuilder.group(
  Api,
  "chat",
  Effect.fn(function* (handlers) {
    const chatrooms = yield* Chatrooms
    const chatroomList = yield* ChatroomList
    const messages = yield* Messages
    const { send } = yield* makeSendAndWait
    const roomExport = yield* RoomExport
    const cursors = yield* Cursors
    const idempotency = yield* Idempotency
    const models = yield* Models
    const ticketFor = yield* makeTicketFor

    yield* answerFirstPages

    const checkNew = Effect.fnUntraced(function* ({ model = null, thinking, tools = [] }: CreateChatroom, tier: Tier) {
      yield* models.check(model, tier)
      yield* models.checkThinking(model, thinking?.level ?? null, tier)
      yield* models.checkTools(tools, model, tier)
    })

    /** After the change, the room's model must have its level of thinking, and the tools that the change names. */
    const checkChange = Effect.fnUntraced(function* (userId: UserId, id: ChatroomId, change: UpdateChatroom, tier: Tier) {
      const { model, thinking, tools = [] } = change
      yield* models.check(model, tier)
      const isLevelDue = model !== undefined || thinking?.level !== undefined
      if (!isLevelDue && tools.length === 0) return
      const room = yield* chatrooms.get(userId, id)
      const chosen = model === undefined ? room.model : model
      if (isLevelDue) yield* models.checkThinking(chosen, mergeThinking(room.thinking, thinking).level, tier)
      yield* models.checkTools(tools, chosen, tier)
    })

    return handlers.handleAll({
      createChatroom: Effect.fnUntraced(function* ({ headers, payload }) {
        const { tier, userId } = yield* CurrentUser
        const request = { userId, route: "createChatroom", key: headers["idempotency-key"], body: payload }
        const checked = Effect.andThen(checkNew(payload, tier), chatrooms.create(userId, payload))
        const { replayed, value } = yield* idempotency.once(request, checked, {
          keep: ({ createdAt, id, updatedAt }) => ({ createdAt, id, updatedAt }),
          restore: (kept) => newChatroom(payload, kept)
        })
        chatroomList.forget(userId)
        return HttpApiSchema.withHeaders({
          body: value,
          headers: { location: `/chatroom/${value.id}`, ...replayedHeader(replayed) }
        })
      }),

      listChatrooms: Effect.fnUntraced(function* ({ headers, query, request }) {
        const { userId } = yield* CurrentUser
        const archived = query.archived === "true"
        const { decode, encode } = cursorsOf(cursors, userId, { archived, search: query.q })
        const after = query.cursor === undefined ? undefined : yield* decode(query.cursor)
        const limit = query.limit ?? defaultLimit
        const page = yield* chatroomList.page(userId, { limit, archived, search: query.q, after }, encode)
        const answer = listAnswer(page, request.url, headers["if-none-match"])
        if (answer.body === undefined) return HttpServerResponse.empty(answer)
        const { bytes, contentType, gzipped } = answer.body
        if (gzipped !== undefined) rememberGzip(bytes, gzipped)
        return HttpServerResponse.uint8Array(bytes, { contentType, headers: answer.headers })
      }),

      getChatroom: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        const room = yield* chatrooms.get(userId, params.id)
        const recent = yield* messages.history(userId, params.id, { limit: messagesShown })
        return { ...room, messages: recent.messages.toReversed() }
      }),

      exportChatroom: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentUser
        yield* orTooManyRequests(roomExport.turn(userId))
        const isMarkdown = query.format === "markdown"
        const options = { thoughts: query.thoughts === "true", branch: query.branch ?? "active" }
        const pieces = yield* isMarkdown
          ? roomExport.markdown(userId, params.id, options)
          : roomExport.json(userId, params.id, options)
        return HttpServerResponse.stream(Stream.encodeText(pieces), {
          contentType: isMarkdown ? "text/markdown; charset=utf-8" : "application/json",
          headers: { "content-disposition": `attachment; filename="chatroom.${isMarkdown ? "md" : "json"}"` }
        })
      }),

      createChatroomExportTicket: Effect.fnUntraced(function* ({ params, request }) {
        const { userId } = yield* CurrentUser
        yield* chatrooms.get(userId, params.id)
        return yield* ticketFor(request, `/chatroom/${params.id}/export`)
      }),

      updateChatroom: Effect.fnUntraced(function* ({ params, payload }) {
        const { tier, userId } = yield* CurrentUser
        yield* checkChange(userId, params.id, payload, tier)
        const room = yield* chatrooms.update(userId, params.id, payload)
        chatroomList.forget(userId)
        return room
      }),

      deleteChatroom: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        yield* chatrooms.remove(userId, params.id)
        chatroomList.forget(userId)
      }),

      listMessages: Effect.fnUntraced(function* ({ params, query, request }) {
        const { userId } = yield* CurrentUser
        const list = `messages:${userId}:${params.id}${query.branch === "active" ? ":active" : ""}`
        const position = query.cursor === undefined ? query : yield* cursors.decode(list, HistoryPosition, query.cursor)
        const found = yield* messages.history(userId, params.id, {
          limit: query.limit ?? defaultLimit,
          before: position.before,
          after: position.after,
          branch: query.branch,
          thoughts: query.thoughts === "true"
        })
        const last = found.messages.at(-1)
        // A page read forwards is continued forwards, up to the same `before`.
        const next = position.after === undefined ? { before: last?.id ?? "" } : { ...bound(position), after: last?.id ?? "" }
        const nextCursor = found.hasMore ? cursors.encode(list, next) : null
        return HttpApiSchema.withHeaders({
          body: { data: found.messages, hasMore: found.hasMore, nextCursor },
          headers: nextLink(request.originalUrl, nextCursor)
        })
      }),

      sendMessage: Effect.fnUntraced(function* ({ headers, params, payload, query }) {
        const user = yield* CurrentUser
        const question = { ...payload, roomId: params.id, idempotencyKey: headers["idempotency-key"] }
        const sent = yield* send(user, question, query.wait ?? preferredWait(headers.prefer))
        return exchangeResponse(params.id, sent, yield* Clock.currentTimeMillis)
      }),

      latest: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentUser
        const latest = yield* messages.latest(userId, params.id, query.wait ?? 0)
        return HttpApiSchema.withHeaders({ body: latest, headers: pollAgain(latest.reply) })
      }),

      getMessage: Effect.fnUntraced(function* ({ params, query }) {
        const { userId } = yield* CurrentUser
        const message = query.wait
          ? yield* messages.awaitEnd(userId, params.id, params.mid, query.wait)
          : yield* messages.get(userId, params.id, params.mid)
        return HttpApiSchema.withHeaders({ body: message, headers: pollAgain(message) })
      })
    })
  })
)

const bound = (position: { readonly before?: string | undefined }) =>
  position.before === undefined ? {} : { before: position.before }
