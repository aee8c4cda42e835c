import { HttpServerResponse } from "effect/http"
import { rateLimitHeaders } from "../api/chat/ChatErrors.ts"
import { hasEnded } from "../api/chat/Message.ts"
import { secondsUntil } from "./Quota.ts"
import type { Sent } from "./Sending.ts"
import { replayedHeader } from "../http/Idempotency.ts"

/** The day's limit of prompts and what is left of it; nothing where it is unlimited. */
export const quotaHeaders = (quota: Sent["quota"], now: number) =>
  quota.limit === null || quota.remaining === null
    ? {}
    : rateLimitHeaders(quota.limit, quota.remaining, secondsUntil(quota.resetsAt, now))

/** The response to an accepted question: 201 with a reply that has ended, 202 with one that has not. */
export const exchangeResponse = (roomId: string, sent: Sent, now: number) => {
  const ended = hasEnded(sent.reply)
  return HttpServerResponse.jsonUnsafe(
    { message: sent.message, reply: sent.reply, quota: sent.quota },
    {
      status: ended ? 201 : 202,
      headers: {
        location: `/chatroom/${roomId}/message/${sent.reply.id}`,
        ...quotaHeaders(sent.quota, now),
        ...(ended ? {} : { "retry-after": "1" }),
        ...replayedHeader(sent.replayed)
      }
    }
  )
}
