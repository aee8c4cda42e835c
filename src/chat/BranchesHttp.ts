import { Clock, Effect } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { Branches } from "./Branches.ts"
import { ChatroomList } from "./ChatroomList.ts"
import { exchangeResponse } from "./ExchangeHttp.ts"
import { preferredWait } from "./PreferredWait.ts"
import { makeSendAndWait } from "./SendAndWait.ts"

export const BranchesHttp = HttpApiBuilder.group(
  Api,
  "branches",
  Effect.fn(function* (handlers) {
    const branches = yield* Branches
    const chatroomList = yield* ChatroomList
    const idempotency = yield* Idempotency
    const { edit } = yield* makeSendAndWait

    return handlers.handleAll({
      editMessage: Effect.fnUntraced(function* ({ headers, params, payload, query }) {
        const user = yield* CurrentUser
        const edited = { ...payload, roomId: params.id, id: params.mid, idempotencyKey: headers["idempotency-key"] }
        const sent = yield* edit(user, edited, query.wait ?? preferredWait(headers.prefer))
        return exchangeResponse(params.id, sent, yield* Clock.currentTimeMillis)
      }),

      forkChatroom: Effect.fnUntraced(function* ({ headers, params, payload }) {
        const { userId } = yield* CurrentUser
        const body = { roomId: params.id, ...payload }
        const request = { userId, route: "forkChatroom", key: headers["idempotency-key"], body }
        const { replayed, value } = yield* idempotency.once(request, branches.fork(userId, params.id, payload), {
          keep: (room) => room,
          restore: (room) => room
        })
        chatroomList.forget(userId)
        return HttpApiSchema.withHeaders({
          body: value,
          headers: { location: `/chatroom/${value.id}`, ...replayedHeader(replayed) }
        })
      }),

      deleteMessage: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        yield* branches.remove(userId, params.id, params.mid)
        chatroomList.forget(userId)
      })
    })
  })
)
