import { timingSafeEqual } from "node:crypto"
import { Effect, Layer, Redacted } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Api } from "../api/Api.ts"
import { AppConfig } from "../config/Settings.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { QueueState } from "../queue/QueueState.ts"
import { AdminAuthorization, AdminOff, AdminUnauthenticated } from "../api/ops/AdminApi.ts"

export const AdminAuthorizationLayer = Layer.effect(
  AdminAuthorization,
  Effect.gen(function* () {
    const { adminToken } = yield* AppConfig

    return AdminAuthorization.of({
      admin: Effect.fnUntraced(function* (httpEffect, { credential }) {
        if (adminToken === undefined) return yield* new AdminOff()
        const given = Buffer.from(Redacted.value(credential))
        const needed = Buffer.from(Redacted.value(adminToken))
        if (given.length !== needed.length || !timingSafeEqual(given, needed)) return yield* new AdminUnauthenticated()
        return yield* httpEffect
      })
    })
  })
)

export const AdminHttp = HttpApiBuilder.group(
  Api,
  "admin",
  Effect.fn(function* (handlers) {
    const queue = yield* QueueState
    const context = yield* Effect.context<never>()

    return handlers.handleAll({
      queue: () => unslotted(queue.read),
      metrics: () => Effect.map(unslotted(queue.measure), () => PrometheusMetrics.formatUnsafe(context))
    })
  })
)
