import { Effect } from "effect"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** Days that the ledger keeps a call of the model. */
const ledgerDays = 400

export const makeModelTasks = Effect.all([makeForgetTask("model_calls", `at < now() - interval '${ledgerDays} days'`)])
