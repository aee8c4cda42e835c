import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"

const Check = Schema.Literals(["ok", "failed", "draining"])
const Readiness = Schema.Struct({
  status: Schema.Literals(["ready", "not_ready"]),
  checks: Schema.Record(Schema.String, Check).annotate({ description: "Each thing this process needs, and how it stands." })
}).annotate({ identifier: "Readiness" })
export type Readiness = typeof Readiness.Type

export class OpsApi extends HttpApiGroup.make("ops")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz", {
      success: Schema.Struct({ status: Schema.Literal("ok") }).annotate({ identifier: "Health" })
    }).annotateMerge(OpenApi.annotations({ identifier: "getHealth", summary: "Whether the process lives" })),
    HttpApiEndpoint.get("readyz", "/readyz", {
      success: [Readiness, Readiness.pipe(HttpApiSchema.status(503))]
    }).annotateMerge(OpenApi.annotations({ identifier: "getReadiness", summary: "Whether it can serve, and what is missing" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Operations" }))
{}
