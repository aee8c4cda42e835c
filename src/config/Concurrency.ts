import { Effect } from "effect"
import type { BasicAndPaid } from "./Plans.ts"
import { fail, integer, optionalSecret } from "./Reading.ts"

/** No user gets more than half of a worker, so that other users' replies find a free slot. */
export const userConcurrency = Effect.fnUntraced(function* (workerConcurrency: number) {
  const most = Math.max(1, Math.floor(workerConcurrency / 2))
  const limits: BasicAndPaid<number> = {
    basic: Math.min(yield* integer("BASIC_CONCURRENCY", 1, 1000), most),
    pro: Math.min(yield* integer("PRO_CONCURRENCY", 1, 1000), most)
  }
  return limits
})

/** A worker alone shares no port; more workers are started by hand. Processes that make keys of their own do not share tokens. */
export const webConcurrency = Effect.fnUntraced(function* (isWorker: boolean) {
  const processes = yield* integer("WEB_CONCURRENCY", 1, 128)
  if (isWorker) return 1
  if (processes > 1 && (yield* optionalSecret("JWT_KEYS")) === undefined)
    return yield* fail("WEB_CONCURRENCY", "needs JWT_KEYS, which all processes share")
  return processes
})
