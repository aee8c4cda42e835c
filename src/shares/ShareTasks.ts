import { Effect } from "effect"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** Links a day after they were revoked or have expired. */
export const makeShareTasks = Effect.all([
  makeForgetTask("shares", "revoked_at < now() - interval '1 day' or expires_at < now() - interval '1 day'")
])
