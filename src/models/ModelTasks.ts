import { Effect } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"

export const makeModelTasks = Effect.gen(function* () {
  const { ledgerRetentionDays } = yield* AppConfig
  return [yield* makeForgetTask("model_calls", `at < now() - interval '${ledgerRetentionDays} days'`)]
})
