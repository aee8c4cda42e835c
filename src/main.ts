import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Layer } from "effect"
import { AppLayer } from "./App.ts"
import { AppConfig } from "./config/Settings.ts"
import { environment, launch, teardown } from "./ops/Launch.ts"

/** The production entry: everything from the environment alone. */
const Main = AppLayer.pipe(Layer.provide(AppConfig.layer), Layer.provide(environment()))

NodeRuntime.runMain(launch(Main), { disableErrorReporting: true, teardown })
