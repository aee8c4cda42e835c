import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** Deletes idempotency keys that are past their lifetime. */
export const makeIdempotencyTask = makeForgetTask("idempotency_keys", `created_at < now() - interval '${keyLifetime}'`)
