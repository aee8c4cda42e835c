import { Effect } from "effect"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"
import { makeExpireRoomsTask } from "./ExpireRooms.ts"
import { makeFillBranchesTask } from "./FillBranches.ts"
import { makeExpireCompletionsTask } from "./ExpireCompletions.ts"

/** Days that the usage of a day is kept: more than the 92 that a user is shown. */
const usageDays = 100

/** The trees of older rooms, and what is no longer needed: rooms past their retention, completions, idempotency keys after their lifetime, those of every route, and old usage. */
export const makeChatTasks = Effect.all([
  makeFillBranchesTask,
  makeExpireRoomsTask,
  makeExpireCompletionsTask,
  makeForgetTask("idempotency_keys", `created_at < now() - interval '${keyLifetime}'`),
  makeForgetTask("usage_daily", `day < (now() at time zone 'utc')::date - ${usageDays}`)
])
