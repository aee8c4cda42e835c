import { Effect } from "effect"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** What chats no longer need: idempotency keys after their lifetime, those of every route. */
export const makeChatTasks = Effect.all([makeForgetTask("idempotency_keys", `created_at < now() - interval '${keyLifetime}'`)])
