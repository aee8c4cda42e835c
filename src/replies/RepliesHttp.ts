import { Clock, Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { streamCacheControl } from "../api/chat/RepliesApi.ts"
import { makeTicketFor } from "../auth/TicketsHttp.ts"
import { exchangeResponse } from "../chat/ExchangeHttp.ts"
import { Feedbacks } from "../chat/Feedbacks.ts"
import { Messages } from "../chat/Messages.ts"
import { Sending } from "../chat/Sending.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { parsePosition } from "../stream/ReplyFeed.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { Cancellation } from "./Cancellation.ts"
import { ContextReceipts } from "./ContextReceipts.ts"

/** Tells proxies not to buffer, cache or compress the events. */
const streamHeaders = { "cache-control": streamCacheControl, "x-accel-buffering": "no" }

export const RepliesHttp = HttpApiBuilder.group(
  Api,
  "replies",
  Effect.fn(function* (handlers) {
    const sending = yield* Sending
    const cancellation = yield* Cancellation
    const replyStream = yield* ReplyStream
    const feedbacks = yield* Feedbacks
    const receipts = yield* ContextReceipts
    const messages = yield* Messages
    const ticketFor = yield* makeTicketFor

    return handlers.handleAll({
      regenerateMessage: Effect.fnUntraced(function* ({ headers, params, payload }) {
        const user = yield* CurrentUser
        const request = {
          roomId: params.id,
          id: params.mid,
          settings: payload.settings,
          idempotencyKey: headers["idempotency-key"]
        }
        const sent = yield* sending.regenerate(user, request)
        return exchangeResponse(params.id, sent, yield* Clock.currentTimeMillis)
      }),

      cancelMessage: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        return yield* cancellation.cancel(userId, params.id, params.mid)
      }),

      rateMessage: Effect.fnUntraced(function* ({ params, payload }) {
        const { userId } = yield* CurrentUser
        return yield* feedbacks.give(userId, params.id, params.mid, payload)
      }),

      getMessageContext: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        return yield* orTooManyRequests(receipts.find(userId, params.id, params.mid))
      }),

      createStreamTicket: Effect.fnUntraced(function* ({ params: { id, mid }, request }) {
        const { userId } = yield* CurrentUser
        yield* messages.state(userId, id, mid)
        return yield* ticketFor(request, `/chatroom/${id}/message/${mid}/stream`)
      }),

      streamMessage: Effect.fnUntraced(function* ({ headers, params, query }) {
        const session = yield* CurrentUser
        // A browser reconnects to the same URL, so `Last-Event-ID` is newer than `after`.
        const position = parsePosition(headers["last-event-id"] ?? query.after ?? "")
        const events = yield* replyStream.open(session, params.id, params.mid, position)
        return events === undefined
          ? HttpServerResponse.empty({ status: 204 })
          : HttpServerResponse.raw(events, { contentType: "text/event-stream", headers: streamHeaders })
      })
    })
  })
)
