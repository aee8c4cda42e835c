import { Clock, Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { defaultUiMessages } from "../api/aisdk/AiSdkApi.ts"
import type { UiMetadata } from "../api/aisdk/UiMessage.ts"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import { MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type MessageId } from "../api/chat/Message.ts"
import { streamCacheControl } from "../api/chat/RepliesApi.ts"
import { Branches } from "../chat/Branches.ts"
import { ChatroomList } from "../chat/ChatroomList.ts"
import { quotaHeaders } from "../chat/ExchangeHttp.ts"
import { Messages } from "../chat/Messages.ts"
import { filesPath } from "../files/Content.ts"
import { pathFor } from "../http/ApiPrefix.ts"
import { replayedHeader } from "../http/Idempotency.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { Cancellation } from "../replies/Cancellation.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { UiChat } from "./UiChat.ts"
import { uiView } from "./UiFeed.ts"
import { beginningOf, toUiMessage } from "./UiMessages.ts"

const streamHeaders = {
  "cache-control": streamCacheControl,
  "x-accel-buffering": "no",
  "x-vercel-ai-ui-message-stream": "v1"
}

export const AiSdkHttp = HttpApiBuilder.group(
  Api,
  "aisdk",
  Effect.fn(function* (handlers) {
    const branches = yield* Branches
    const cancellation = yield* Cancellation
    const chat = yield* UiChat
    const chatroomList = yield* ChatroomList
    const messages = yield* Messages
    const replyStream = yield* ReplyStream

    /** The message on which the room stands, which is the reply that a client waits for. */
    const standing = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId) {
      const head = yield* branches.headOf(userId, roomId)
      if (head === null) return undefined
      return yield* Effect.catchTag(messages.get(userId, roomId, head), "MessageNotFound", () => Effect.undefined)
    })

    const streamed = Effect.fnUntraced(function* (
      user: CurrentSession,
      roomId: ChatroomId,
      id: MessageId,
      more: UiMetadata,
      headers: Record<string, string>
    ) {
      const events = yield* replyStream.openAs(user, roomId, id, (reply) => uiView(reply, { ...beginningOf(reply), ...more }))
      return HttpServerResponse.raw(events, { contentType: "text/event-stream", headers: { ...streamHeaders, ...headers } })
    })

    return handlers.handleAll({
      sendUiMessage: Effect.fnUntraced(function* ({ payload }) {
        const user = yield* CurrentUser
        // A stream that is refused after the question was accepted would look like a refusal of the question.
        yield* replyStream.checkCapacity(user.userId)
        const { quota, reply, replayed } = yield* orTooManyRequests(chat.submit(user, payload))
        chatroomList.forget(user.userId)
        const now = yield* Clock.currentTimeMillis
        return yield* streamed(
          user,
          payload.id,
          reply.id,
          { quota },
          { ...quotaHeaders(quota, now), ...replayedHeader(replayed) }
        )
      }),

      resumeUiStream: Effect.fnUntraced(function* ({ params: { id } }) {
        const user = yield* CurrentUser
        const reply = yield* standing(user.userId, id)
        if (reply === undefined || hasEnded(reply)) return HttpServerResponse.empty({ status: 204 })
        return yield* Effect.catchTag(streamed(user, id, reply.id, {}, {}), "MessageNotFound", () =>
          Effect.succeed(HttpServerResponse.empty({ status: 204 }))
        )
      }),

      stopUiStream: Effect.fnUntraced(function* ({ params: { id } }) {
        const { userId } = yield* CurrentUser
        const reply = yield* standing(userId, id)
        if (reply === undefined) return yield* new MessageNotFound()
        return yield* cancellation.cancel(userId, id, reply.id)
      }),

      getUiMessages: Effect.fnUntraced(function* ({ params: { id }, query, request }) {
        const { userId } = yield* CurrentUser
        const { before, limit = defaultUiMessages } = query
        const { messages: newest } = yield* messages.history(userId, id, { limit, before, branch: "active", thoughts: true })
        const files = yield* pathFor(request, filesPath)
        return newest
          .filter(hasEnded)
          .toReversed()
          .map((message) => toUiMessage(message, files))
      })
    })
  })
)
