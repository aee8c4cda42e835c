import { Effect } from "effect"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** What accounts no longer need: codes and allowances a day after their end, sessions after thirty days. */
export const makeAuthTasks = Effect.all([
  makeForgetTask("otp_challenges", "expires_at < now() - interval '1 day'"),
  makeForgetTask("throttles", "tat < now() - interval '1 day'"),
  makeForgetTask("sessions", "expires_at < now() - interval '30 days'")
])
