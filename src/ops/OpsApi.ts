import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, OpenApi } from "effect/http-api"
import { problem } from "../Problem.ts"

const Check = Schema.Literals(["ok", "failed", "draining"])
const Checks = Schema.Record(Schema.String, Check).annotate({
  description: "Each thing this process needs, and how it stands."
})
export type Checks = typeof Checks.Type

const Readiness = Schema.Struct({
  status: Schema.Literal("ready"),
  checks: Checks
}).annotate({ identifier: "Readiness" })

/** Something that this process needs is not there; `checks` says what. */
export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  ...problem("not_ready", 503, "The process cannot serve now", { checks: Checks, retryAfter: Schema.Int })
) {}

export class OpsApi extends HttpApiGroup.make("ops")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz", {
      success: Schema.Struct({ status: Schema.Literal("ok") }).annotate({ identifier: "Health" })
    }).annotateMerge(OpenApi.annotations({ identifier: "getHealth", summary: "Whether the process lives" })),
    HttpApiEndpoint.get("readyz", "/readyz", {
      success: Readiness,
      error: NotReady
    }).annotateMerge(OpenApi.annotations({ identifier: "getReadiness", summary: "Whether it can serve, and what is missing" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "Operations" })) {}
