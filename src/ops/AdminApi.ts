import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"

import { problem } from "../Problem.ts"
import { QueueCounts } from "./QueueCounts.ts"

export class AdminOff extends HttpApiError.Problem<AdminOff>()("AdminOff", ...problem("not_found", 404, "Nothing is here")) {}

export class AdminUnauthenticated extends HttpApiError.Problem<AdminUnauthenticated>()(
  "AdminUnauthenticated",
  ...problem("unauthenticated", 401, "The admin token is needed")
) {}

const headers = { authorization: Schema.optionalKey(Schema.String) }

export class AdminApi extends HttpApiGroup.make("admin")
  .add(
    HttpApiEndpoint.get("queue", "/admin/queue", {
      headers,
      success: QueueCounts,
      error: [AdminOff, AdminUnauthenticated]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "getQueue",
        summary: "The queue's state",
        description: "With `Authorization: Bearer $ADMIN_TOKEN`; 404 when that is unset."
      })
    ),
    HttpApiEndpoint.get("metrics", "/metrics", {
      headers,
      success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4" })),
      error: [AdminOff, AdminUnauthenticated]
    }).annotateMerge(
      OpenApi.annotations({
        identifier: "getMetrics",
        summary: "Prometheus metrics",
        description: "With `Authorization: Bearer $ADMIN_TOKEN`; 404 when that is unset."
      })
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Admin" })) {}
