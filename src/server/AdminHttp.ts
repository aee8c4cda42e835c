import { timingSafeEqual } from "node:crypto"
import { Cause, Duration, Effect, Layer, Redacted, Schema } from "effect"
import { HttpServerRequest } from "effect/http"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Api } from "../api/Api.ts"
import { TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { Throttle } from "../auth/Throttle.ts"
import { AppConfig } from "../config/Settings.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"
import { Webhook } from "../billing/Webhook.ts"
import { Feedbacks } from "../chat/Feedbacks.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { Cursors } from "../http/Cursors.ts"
import { originOf } from "../http/Origin.ts"
import { observedGauge } from "../ops/Metrics.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { CallLedger } from "../models/CallLedger.ts"
import { QueueState } from "../queue/QueueState.ts"
import { AdminAuthorization, AdminOff, AdminUnauthenticated } from "../api/ops/AdminApi.ts"

/** Wrong tokens from one address. */
const wrongTokens = { limit: 10, period: Duration.minutes(15) }

export const AdminAuthorizationLayer = Layer.effect(
  AdminAuthorization,
  Effect.gen(function* () {
    const config = yield* AppConfig
    const needed = config.adminTokens.map((token) => Buffer.from(Redacted.value(token)))
    const throttle = yield* Throttle

    /** Counts a wrong token. An address that has used its guesses up is refused from memory, with the right token, too. */
    const refuse = Effect.fnUntraced(function* (key: string | null) {
      const wait = key === null ? 0 : yield* throttle.take(key, wrongTokens)
      return yield* wait > 0 ? new TooManyAttempts({ retryAfter: wait }) : new AdminUnauthenticated()
    })

    return AdminAuthorization.of({
      admin: Effect.fnUntraced(function* (httpEffect, { credential }) {
        if (needed.length === 0) return yield* new AdminOff()
        const { address } = yield* Effect.provideService(originOf(yield* HttpServerRequest.HttpServerRequest), AppConfig, config)
        const from = addressKey(address)
        const key = from === null ? null : `admin:from:${from}`
        const wait = key === null ? 0 : yield* throttle.cachedWait(key)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        const given = Buffer.from(Redacted.value(credential))
        const isRight = needed.some((token) => token.length === given.length && timingSafeEqual(token, given))
        return yield* isRight ? httpEffect : refuse(key)
      })
    })
  })
)

const FeedbackPosition = Schema.Struct({ at: Schema.String, id: Schema.String })

export const AdminHttp = HttpApiBuilder.group(
  Api,
  "admin",
  Effect.fn(function* (handlers) {
    const queue = yield* QueueState
    const callLedger = yield* CallLedger
    const feedbacks = yield* Feedbacks
    const cursors = yield* Cursors
    const webhook = yield* Webhook
    const context = yield* Effect.context<never>()

    let databaseUp = 0
    yield* observedGauge("chat_database_up", "Whether the process could read from Postgres for this scrape.", () => databaseUp)
    /** Reads what is in the database. While it is away, the figures of the process are needed most. */
    const measured = Effect.andThen(queue.measure, Effect.andThen(callLedger.measure, webhook.measure)).pipe(
      Effect.timeout("5 seconds"),
      Effect.as(true),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : Effect.as(Effect.logDebug("The metrics of the database could not be read", cause), false)
      ),
      Effect.orDie
    )

    return handlers.handleAll({
      queue: () => unslotted(queue.read),
      usageReport: ({ query }) => callLedger.report(query),
      feedback: Effect.fnUntraced(function* ({ query, request }) {
        const after = query.cursor === undefined ? undefined : yield* cursors.decode("feedback", FeedbackPosition, query.cursor)
        const { found, hasMore } = yield* feedbacks.list({ limit: query.limit ?? defaultLimit, after })
        const last = found.at(-1)
        const nextCursor = hasMore && last !== undefined ? cursors.encode("feedback", { at: last.at, id: last.messageId }) : null
        return HttpApiSchema.withHeaders({
          body: { data: found, hasMore, nextCursor },
          headers: nextLink(request.originalUrl, nextCursor)
        })
      }),
      metrics: () =>
        Effect.map(unslotted(measured), (isDatabaseUp) => {
          databaseUp = isDatabaseUp ? 1 : 0
          return PrometheusMetrics.formatUnsafe(context)
        })
    })
  })
)
