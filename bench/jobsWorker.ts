/**
 * A process of the queue without the product around it: the product's runner, whose task for replies does nothing. Its
 * parent asks with a message, and gets the number of jobs that are done.
 */
import { Effect, Layer } from "effect"
import { AppConfig } from "../src/config/Settings.ts"
import { environment } from "../src/ops/Launch.ts"
import { replyTask } from "../src/queue/Announcer.ts"
import { makeRunner } from "../src/queue/Runner.ts"

let done = 0
const task = {
  name: replyTask,
  run: () => Effect.sync(() => void done++),
  asksModel: true
}
process.on("message", () => process.send?.(done))
process.on("disconnect", () => process.exit(0))

const runner = Effect.gen(function* () {
  yield* makeRunner({ name: "reply", tasks: [task], concurrency: 100, connections: 10 }, new AbortController().signal)
  return yield* Effect.never
})
Effect.runFork(Effect.scoped(runner).pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(environment())))))
