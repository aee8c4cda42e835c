import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiError, HttpApiGroup, OpenApi } from "effect/http-api"
import { AdmissionClass } from "../Annotations.ts"
import { describe } from "../Describe.ts"
import { problem, retryAfter } from "../Problem.ts"

const Check = Schema.Literals(["ok", "failed", "draining", "retiring"])
const Checks = Schema.Record(Schema.String, Check).annotate({
  description: "The state of everything that the process needs."
})
const exampleChecks = {
  database: "ok",
  migrations: "ok",
  notifications: "ok",
  connections: "ok",
  clock: "ok",
  process: "ok",
  model: "ok",
  worker: "ok",
  billing: "ok"
} as const
export type Checks = typeof Checks.Type

const Readiness = Schema.Struct({
  status: Schema.Literals(["ready", "degraded"]),
  checks: Checks
}).annotate({
  identifier: "Readiness",
  description:
    "Ready; `degraded` when the default model is retired or retires within thirty days (`model` is `retiring`), or the settings of billing do not fit Stripe's account (`billing` is `failed`).",
  examples: [{ status: "ready", checks: exampleChecks }]
})

/** Something that the process needs is not available; `checks` says what. */
export class NotReady extends HttpApiError.Problem<NotReady>()(
  "NotReady",
  ...problem("not_ready", 503, "The process is not ready", {
    checks: Checks.annotate({ examples: [{ ...exampleChecks, database: "failed" }] }),
    ...retryAfter
  })
) {}

export class OpsApi extends HttpApiGroup.make("ops")
  .add(
    HttpApiEndpoint.get("healthz", "/healthz", {
      success: Schema.Struct({ status: Schema.Literal("ok") }).annotate({
        identifier: "Health",
        description: "The process is up.",
        examples: [{ status: "ok" }]
      })
    })
      .annotate(AdmissionClass, "unlimited")
      .annotateMerge(
        describe("getHealth", "Check that the process is up", "A process that answers needs no restart, even if it is not ready.")
      ),
    HttpApiEndpoint.get("readyz", "/readyz", {
      success: Readiness,
      error: NotReady
    }).annotateMerge(
      describe(
        "getReadiness",
        "Check that the process is ready",
        "Checks the database, its migrations, the notification listener, its connections, the clock, the default model and, where they run, the worker and billing."
      )
    )
  )
  .annotate(AdmissionClass, "operating")
  .annotateMerge(OpenApi.annotations({ title: "Operations", description: "For load balancers and supervisors." })) {}
