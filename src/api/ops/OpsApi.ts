import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, OpenApi } from "effect/http-api"
import { describe } from "../Describe.ts"
import { problem, retryAfter } from "../Problem.ts"

const Check = Schema.Literals(["ok", "failed", "draining"])
const Checks = Schema.Record(Schema.String, Check).annotate({
  description: "Each thing this process needs, and how it stands."
})
const exampleChecks = {
  database: "ok",
  migrations: "ok",
  notifications: "ok",
  process: "ok",
  worker: "ok",
  billing: "ok"
} as const
export type Checks = typeof Checks.Type

const Readiness = Schema.Struct({
  status: Schema.Literal("ready"),
  checks: Checks
}).annotate({
  identifier: "Readiness",
  description: "It can serve.",
  examples: [{ status: "ready", checks: exampleChecks }]
})

/** Something that this process needs is not there; `checks` says what. */
export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  ...problem("not_ready", 503, "The process cannot serve now", {
    checks: Checks.annotate({ examples: [{ ...exampleChecks, database: "failed" }] }),
    ...retryAfter
  })
) {}

export class OpsApi extends HttpApiGroup.make("ops")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz", {
      success: Schema.Struct({ status: Schema.Literal("ok") }).annotate({
        identifier: "Health",
        description: "It lives.",
        examples: [{ status: "ok" }]
      })
    }).annotateMerge(
      describe("getHealth", "Whether the process lives", "Looks at nothing else: a process that answers is not to be restarted.")
    ),
    HttpApiEndpoint.get("readyz", "/readyz", {
      success: Readiness,
      error: NotReady
    }).annotateMerge(
      describe(
        "getReadiness",
        "Whether it can serve",
        "Looks at the database, its migrations, the listener and, where they run, worker and billing."
      )
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Operations", description: "For load balancers and supervisors." })) {}
