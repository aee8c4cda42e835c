import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { AppConfig } from "../src/config/Settings.ts"
import { runAllMigrations } from "../src/database/Database.ts"
import { environment, reported } from "../src/ops/Launch.ts"

/** `npm run migrate`: runs the migrations only, for deployments that migrate before they start processes. */
const settings = AppConfig.layer.pipe(Layer.provide(environment()))
NodeRuntime.runMain(reported(runAllMigrations.pipe(Effect.provide(settings))), { disableErrorReporting: true })
