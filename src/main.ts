import cluster from "node:cluster"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { AppConfig } from "./config/Settings.ts"
import { environment, launch, teardown } from "./ops/Launch.ts"
import { LoggingLayer } from "./ops/Logging.ts"
import { superviseProcesses } from "./ops/Supervisor.ts"

/** The production entry: everything from the environment alone. A process that only supervises does not load the product. */
const Main = Layer.unwrap(
  Effect.gen(function* () {
    const { webConcurrency } = yield* AppConfig
    if (cluster.isPrimary && webConcurrency > 1) return superviseProcesses(webConcurrency).pipe(Layer.provide(LoggingLayer))
    const { AppLayer } = yield* Effect.promise(() => import("./App.ts"))
    return AppLayer
  })
).pipe(Layer.provide(AppConfig.layer), Layer.provide(environment()))

NodeRuntime.runMain(launch(Main), { disableErrorReporting: true, teardown })
