import { Schema } from "effect"
import { HttpApiError, HttpApiSchema } from "effect/http-api"
import { times } from "../Examples.ts"
import { problem, retryAfter, upgradeUrl } from "../Problem.ts"
import { Count, Timestamp } from "../Schemas.ts"
import { UploadsLimited } from "../files/FileErrors.ts"
import { TooManyRequests } from "../Problems.ts"
import { TooManyStreams } from "./StreamErrors.ts"

export class ChatroomNotFound extends HttpApiError.Problem<ChatroomNotFound>()(
  "ChatroomNotFound",
  ...problem("chatroom_not_found", 404, "Chatroom not found")
) {}

export class MessageNotFound extends HttpApiError.Problem<MessageNotFound>()(
  "MessageNotFound",
  ...problem("message_not_found", 404, "Message not found in this chatroom")
) {}

export class SummaryNotFound extends HttpApiError.Problem<SummaryNotFound>()(
  "SummaryNotFound",
  ...problem("summary_not_found", 404, "The chatroom has no summary")
) {}

export class TooManyChatrooms extends HttpApiError.Problem<TooManyChatrooms>()(
  "TooManyChatrooms",
  ...problem("too_many_chatrooms", 409, "Too many chatrooms", {
    limit: Count.annotate({ description: "Chatrooms a user may have.", examples: [1_000] })
  })
) {}

export class ChatroomsLimited extends HttpApiError.Problem<ChatroomsLimited>()(
  "ChatroomsLimited",
  ...problem("chatrooms_limited", 429, "Too many new chatrooms in the last hour", retryAfter)
) {}

export class RoomBusy extends HttpApiError.Problem<RoomBusy>()(
  "RoomBusy",
  ...problem("room_busy", 409, "Too many unanswered questions in this chatroom")
) {}

export class NotFinished extends HttpApiError.Problem<NotFinished>()(
  "NotFinished",
  ...problem("not_finished", 409, "The reply has not ended yet")
) {}

export class NotAQuestion extends HttpApiError.Problem<NotAQuestion>()(
  "NotAQuestion",
  ...problem("not_a_question", 409, "The message is a reply; only questions can be edited and deleted")
) {}

export class TooManyBranches extends HttpApiError.Problem<TooManyBranches>()(
  "TooManyBranches",
  ...problem("too_many_branches", 409, "The question has too many versions", {
    limit: Count.annotate({ description: "Versions that a question may have.", examples: [50] })
  })
) {}

export class TooManyMessages extends HttpApiError.Problem<TooManyMessages>()(
  "TooManyMessages",
  ...problem("too_many_messages", 409, "The branch has too many messages to copy", {
    limit: Count.annotate({ description: "Messages that a copy may have.", examples: [2_000] })
  })
) {}

export class NotAReply extends HttpApiError.Problem<NotAReply>()(
  "NotAReply",
  ...problem("not_a_reply", 409, "The message is a question; only replies can be rated")
) {}

export class AlreadyFinished extends HttpApiError.Problem<AlreadyFinished>()(
  "AlreadyFinished",
  ...problem("already_finished", 409, "The message has already ended")
) {}

export class QuotaExceeded extends HttpApiError.Problem<QuotaExceeded>()(
  "QuotaExceeded",
  ...problem("quota_exceeded", 429, "Today's prompts are used up", {
    limit: Count.annotate({ description: "Prompts per UTC day.", examples: [5] }),
    resetsAt: Timestamp.annotate({ description: "When the quota resets.", examples: [times.midnight] }),
    ...upgradeUrl,
    retryAfter: retryAfter.retryAfter.annotate({ examples: [52_080] })
  })
) {}

export class BudgetExceeded extends HttpApiError.Problem<BudgetExceeded>()(
  "BudgetExceeded",
  ...problem("budget_exceeded", 429, "Today's budget is used up", {
    resetsAt: Timestamp.annotate({ description: "When the budget resets.", examples: [times.midnight] }),
    ...upgradeUrl,
    retryAfter: retryAfter.retryAfter.annotate({ examples: [52_080] })
  })
) {}

export class SpendLimitReached extends HttpApiError.Problem<SpendLimitReached>()(
  "SpendLimitReached",
  ...problem("spend_limit_reached", 503, "The server has spent its budget for today", retryAfter)
) {}

/** draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it for `reset` seconds. */
export const rateLimitHeaders = (limit: number, remaining: number, reset: number) => ({
  "ratelimit-policy": `"daily";q=${limit};w=86400`,
  ratelimit: `"daily";r=${remaining};t=${reset}`
})

/** The headers of a limit of prompts; absent when unlimited. */
export const quotaHeaders = {
  "ratelimit-policy": Schema.optionalKey(Schema.String),
  ratelimit: Schema.optionalKey(Schema.String)
}
const problemJson = HttpApiSchema.asJson({ contentType: "application/problem+json" })
const headersOf = (error: object) => (error instanceof QuotaExceeded ? rateLimitHeaders(error.limit, 0, error.retryAfter) : {})

/** The day's prompts or money are used up. */
const DayUsedUp = Schema.Union([QuotaExceeded, BudgetExceeded]).pipe(HttpApiSchema.status(429), problemJson)

/** With the headers of a limit of prompts; a budget of money has none. */
export const DayUsedUpWithHeaders = DayUsedUp.pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: DayUsedUp, headers: quotaHeaders },
    { decode: ({ body }) => body, encode: (error) => ({ body: error, headers: headersOf(error) }) }
  )
)

/** Every limit that a question of the AI SDK can meet: it may open a room, and have files inside. */
const AnyLimit = Schema.Union([
  QuotaExceeded,
  BudgetExceeded,
  ChatroomsLimited,
  UploadsLimited,
  TooManyStreams,
  TooManyRequests
]).pipe(HttpApiSchema.status(429), problemJson)

export const AnyLimitWithHeaders = AnyLimit.pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: AnyLimit, headers: quotaHeaders },
    { decode: ({ body }) => body, encode: (error) => ({ body: error, headers: headersOf(error) }) }
  )
)
