import { HttpServerResponse } from "effect/http"
import { rateLimitHeaders } from "../api/chat/ChatErrors.ts"
import { secondsUntil } from "./Quota.ts"
import type { Sent } from "./Sending.ts"

const quotaHeaders = (quota: Sent["quota"], now: number) =>
  quota.limit === null || quota.remaining === null
    ? {}
    : rateLimitHeaders(quota.limit, quota.remaining, secondsUntil(quota.resetsAt, now))

/** The answer to an accepted question: 202 with the waiting reply, 201 with the finished one. */
export const exchange = (status: 201 | 202, roomId: string, sent: Sent, now: number) =>
  HttpServerResponse.jsonUnsafe(
    { message: sent.message, reply: sent.reply, quota: sent.quota },
    {
      status,
      headers: {
        location: `/chatroom/${roomId}/message/${sent.reply.id}`,
        ...quotaHeaders(sent.quota, now),
        ...(status === 202 ? { "retry-after": "1" } : {}),
        ...(sent.replayed ? { "idempotent-replayed": "true" } : {})
      }
    }
  )
