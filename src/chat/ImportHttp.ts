import { Effect } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { ChatroomList } from "./ChatroomList.ts"
import { RoomImport } from "./RoomImport.ts"

export const ImportHttp = HttpApiBuilder.group(
  Api,
  "import",
  Effect.fn(function* (handlers) {
    const chatroomList = yield* ChatroomList
    const idempotency = yield* Idempotency
    const roomImport = yield* RoomImport
    const bulkhead = makeBulkhead({ permits: 1, waiting: 2, maxWait: "3 seconds" })

    return handlers.handleAll({
      importChatroom: Effect.fnUntraced(function* ({ headers, payload }) {
        const user = yield* CurrentUser
        const { userId } = user
        const request = { userId, route: "importChatroom", key: headers["idempotency-key"], body: payload }
        const added = idempotency.once(request, roomImport.add(user, payload), {
          keep: (room) => room,
          restore: (room) => room
        })
        const { replayed, value } = yield* orTooManyRequests(bulkhead.run(userId, added))
        chatroomList.forget(userId)
        return HttpApiSchema.withHeaders({
          body: value,
          headers: { location: `/chatroom/${value.id}`, ...replayedHeader(replayed) }
        })
      })
    })
  })
)
