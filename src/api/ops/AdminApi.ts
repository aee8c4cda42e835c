import { Schema } from "effect"
import {
  HttpApiEndpoint,
  HttpApiError,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { AdmissionClass } from "../Annotations.ts"
import { TooManyAttempts } from "../auth/AuthErrors.ts"
import { describe } from "../Describe.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { problem } from "../Problem.ts"
import { ada, ids, times } from "../Examples.ts"
import { UserId } from "../auth/User.ts"
import { ChatroomId } from "../chat/Chatroom.ts"
import { Feedback, MessageId } from "../chat/Message.ts"
import { Count, Timestamp } from "../Schemas.ts"
import { QueueCounts } from "./QueueCounts.ts"

export class AdminOff extends HttpApiError.Problem<AdminOff>()("AdminOff", ...problem("not_found", 404, "No such route")) {}

export class AdminUnauthenticated extends HttpApiError.Problem<AdminUnauthenticated>()(
  "AdminUnauthenticated",
  ...problem("unauthenticated", 401, "The admin token is required")
) {}

/** Authenticates operators, who are not users. */
export class AdminAuthorization extends HttpApiMiddleware.Service<AdminAuthorization>()("chat-backend/ops/AdminAuthorization", {
  security: {
    admin: HttpApiSecurity.bearer.pipe(
      HttpApiSecurity.annotateMerge(OpenApi.annotations({ description: "The server's ADMIN_TOKEN." }))
    )
  },
  error: [AdminOff, AdminUnauthenticated, TooManyAttempts]
}) {}

const Metrics = Schema.String.annotate({
  description: "Prometheus text format.",
  examples: [
    "# HELP chat_streams_open Replies being watched in this process.\n# TYPE chat_streams_open gauge\nchat_streams_open 3\n"
  ]
})

const Day = Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/u, { message: "must be a date like 2026-11-30" })).annotate(
  {
    format: "date"
  }
)
const Group = Schema.Literals(["day", "model", "tier"])

const UsageSum = Schema.Struct({
  key: Schema.String.annotate({ description: "The day, model or tier." }),
  calls: Count,
  promptTokens: Count,
  cachedTokens: Count,
  toolTokens: Count,
  replyTokens: Count,
  thoughtTokens: Count,
  searches: Count,
  costMicros: Count.annotate({ description: "In millionths of a US dollar." })
}).annotate({ identifier: "UsageSum", description: "What calls of the model have used." })

export const UsageReport = Schema.Struct({
  from: Day,
  to: Day,
  by: Group,
  data: Schema.Array(UsageSum),
  unpriced: Count.annotate({
    description:
      "Calls whose model or version has no price on the server; they are counted at the price of the requested model, if there is one."
  })
}).annotate({
  identifier: "UsageReport",
  description: "What the model's calls of all users have used.",
  examples: [
    {
      from: "2026-11-01",
      to: "2026-11-30",
      by: "model",
      data: [
        {
          key: "gemini-3.8-flash",
          calls: 1,
          promptTokens: 12,
          cachedTokens: 0,
          toolTokens: 0,
          replyTokens: 31,
          thoughtTokens: 0,
          searches: 0,
          costMicros: 126
        }
      ],
      unpriced: 0
    }
  ]
})
export type UsageReport = typeof UsageReport.Type

export const GivenFeedback = Schema.Struct({
  messageId: MessageId,
  chatroomId: ChatroomId,
  userId: UserId,
  model: Schema.NullOr(Schema.String).annotate({ description: "The model that wrote the reply, or was asked for it." }),
  ...Feedback.fields,
  at: Timestamp.annotate({ description: "When the user last changed it." })
}).annotate({ identifier: "GivenFeedback", description: "A user's rating of a reply, for operators." })
export type GivenFeedback = typeof GivenFeedback.Type

const exampleFeedback: GivenFeedback = {
  messageId: MessageId.make(ids.reply),
  chatroomId: ChatroomId.make(ids.room),
  userId: UserId.make(ada.id),
  model: "gemini-3.8-flash",
  rating: "down",
  reasons: ["wrong"],
  comment: "A loom weaves cloth.",
  at: times.answered
}

export class AdminApi extends HttpApiGroup.make("admin")
  .add(
    HttpApiEndpoint.get("queue", "/admin/queue", { success: QueueCounts }).annotateMerge(
      describe("getQueue", "Get the state of the queue", "404 when ADMIN_TOKEN is unset.")
    ),
    HttpApiEndpoint.get("usageReport", "/admin/usage", {
      query: {
        from: Schema.optionalKey(
          Day.annotate({ description: "The first UTC day; 29 days before the last one when omitted.", examples: ["2026-11-01"] })
        ),
        to: Schema.optionalKey(Day.annotate({ description: "The last UTC day; today when omitted.", examples: ["2026-11-30"] })),
        by: Schema.optionalKey(Group.annotate({ description: "How the sums are grouped.", default: "day" }))
      },
      success: UsageReport
    }).annotateMerge(
      describe("getUsageReport", "Get what the model's calls have used", "At most 400 days. 404 when ADMIN_TOKEN is unset.")
    ),
    HttpApiEndpoint.get("feedback", "/admin/feedback", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(GivenFeedback, "FeedbackPage", exampleFeedback), linkHeader)
    }).annotateMerge(
      describe(
        "listFeedback",
        "List the feedback of users",
        "Newest first, without the texts of questions and replies. 404 when ADMIN_TOKEN is unset."
      )
    ),
    HttpApiEndpoint.get("metrics", "/metrics", {
      success: Metrics.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4" }))
    }).annotateMerge(describe("getMetrics", "Get Prometheus metrics", "404 when ADMIN_TOKEN is unset."))
  )
  .middleware(AdminAuthorization)
  .annotate(AdmissionClass, "operating")
  .annotateMerge(OpenApi.annotations({ title: "Admin", description: "For operators." })) {}
