import { Cause, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { AiSdkLayer } from "./aisdk/Layer.ts"
import { UserData } from "./account/UserData.ts"
import { AuthLayer } from "./auth/Layer.ts"
import { BillingLayer } from "./billing/Layer.ts"
import { ChatLayer } from "./chat/Layer.ts"
import { AppConfig } from "./config/Settings.ts"
import { FilesLayer } from "./files/Layer.ts"
import { ClockSkew } from "./database/ClockSkew.ts"
import { isDatabaseAway, reasonOf } from "./database/Connections.ts"
import { awaitDatabase, DatabaseLayer } from "./database/Database.ts"
import { Replica } from "./database/Replica.ts"
import { Notifications } from "./database/Notifications.ts"
import { HttpKitLayer } from "./http/Layer.ts"
import { Keys } from "./keys/Keys.ts"
import { DrainFirst, Draining } from "./ops/Draining.ts"
import { LoggingLayer } from "./ops/Logging.ts"
import { MetricsLayer } from "./ops/Metrics.ts"
import { TelemetryLayer } from "./ops/Telemetry.ts"
import { Announcer } from "./queue/Announcer.ts"
import { QueueState } from "./queue/QueueState.ts"
import { WorkerHealth, WorkerLayer } from "./queue/Worker.ts"
import { RepliesLayer } from "./replies/Layer.ts"
import { ModelsLayer } from "./models/Layer.ts"
import { Completions } from "./openai/Completions.ts"
import { SharesLayer } from "./shares/Layer.ts"
import { OpsServerLayer, ServerLayer } from "./server/Server.ts"
import { answeringProbes } from "./server/StartupServer.ts"

/** The worker with its tasks, which an API process neither needs nor loads. */
const Worker = Layer.unwrap(
  Effect.map(
    Effect.promise(() => import("./WorkerTasks.ts")),
    ({ TasksLayer }) => WorkerLayer.pipe(Layer.provide(TasksLayer))
  )
)

/** The API, the worker, or both, by `ROLE`. A worker alone serves probes and metrics, and only where `PORT` is set. */
const RoleLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { opsPort, role, workerConcurrency } = yield* AppConfig
    const server = role === "worker" ? OpsServerLayer : ServerLayer
    const serving = opsPort === undefined ? Layer.empty : DrainFirst.pipe(Layer.provideMerge(server))
    if (role === "api") return serving.pipe(Layer.provide(WorkerHealth.layerNone))
    const working =
      role === "worker"
        ? Layer.effectDiscard(Effect.logInfo(`Working on up to ${workerConcurrency} replies at a time`))
        : Layer.empty
    return Layer.merge(serving, working).pipe(Layer.provide(Worker))
  })
)

const Infrastructure = Layer.mergeAll(Announcer.layer, QueueState.layer, ClockSkew.layer, HttpKitLayer).pipe(
  Layer.provideMerge(Notifications.layer),
  Layer.provideMerge(Replica.layer),
  Layer.provideMerge([DatabaseLayer, Keys.layer, Draining.layer]),
  Layer.provideMerge([LoggingLayer, TelemetryLayer, MetricsLayer])
)

/** The role on top of the features on top of the infrastructure. */
const RunningLayer = RoleLayer.pipe(
  Layer.provide(Completions.layer),
  Layer.provide([AiSdkLayer, UserData.layer, BillingLayer, RepliesLayer, SharesLayer]),
  Layer.provide(ChatLayer),
  Layer.provide(FilesLayer),
  Layer.provide(AuthLayer),
  Layer.provide(ModelsLayer),
  Layer.provide(Infrastructure)
)

/** Builds the layers in a scope of their own, which is closed when they cannot be built. */
const build = Effect.gen(function* () {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const memoMap = Layer.CurrentMemoMap.forkOrCreate(yield* Effect.context())
  yield* Layer.buildWithMemoMap(RunningLayer, memoMap, scope).pipe(
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
  )
})

/**
 * The product, given its settings. It begins when its database can be reached, and again from the beginning when the
 * database goes away while it begins.
 */
export const AppLayer = Layer.effectDiscard(
  Effect.andThen(answeringProbes(awaitDatabase()), build).pipe(
    Effect.sandbox,
    Effect.tapError((cause) =>
      isDatabaseAway(cause) ? Effect.logWarning(`Starting again: ${reasonOf(Cause.squash(cause))}`) : Effect.void
    ),
    Effect.retry({ while: isDatabaseAway, schedule: Schedule.spaced("500 millis") }),
    Effect.catch((cause) => Effect.failCause(cause))
  )
).pipe(Layer.provide([LoggingLayer, TelemetryLayer]))
