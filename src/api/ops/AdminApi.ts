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
import { problem } from "../Problem.ts"
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

export class AdminApi extends HttpApiGroup.make("admin")
  .add(
    HttpApiEndpoint.get("queue", "/admin/queue", { success: QueueCounts }).annotateMerge(
      describe("getQueue", "Get the state of the queue", "404 when ADMIN_TOKEN is unset.")
    ),
    HttpApiEndpoint.get("metrics", "/metrics", {
      success: Metrics.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4" }))
    }).annotateMerge(describe("getMetrics", "Get Prometheus metrics", "404 when ADMIN_TOKEN is unset."))
  )
  .middleware(AdminAuthorization)
  .annotate(AdmissionClass, "operating")
  .annotateMerge(OpenApi.annotations({ title: "Admin", description: "For operators." })) {}
