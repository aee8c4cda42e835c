import { Schema } from "effect"
import { Count } from "../Schemas.ts"

const Task = Schema.Struct({ ready: Count, running: Count, failed: Count }).annotate({
  identifier: "TaskCounts",
  description: "Jobs of one task."
})

export const QueueCounts = Schema.Struct({
  ready: Count.annotate({ description: "Jobs that are due and not running." }),
  running: Count,
  failed: Count.annotate({ description: "Jobs that failed and wait for a retry, or were given up." }),
  oldestSeconds: Schema.Finite.annotate({ description: "Seconds since the oldest ready job became due." }),
  byTask: Schema.Record(Schema.String, Task).annotate({ description: "The same counts by task name." })
}).annotate({
  identifier: "QueueCounts",
  description: "Jobs in the queue, over all processes.",
  examples: [
    {
      ready: 2,
      running: 5,
      failed: 0,
      oldestSeconds: 0.12,
      byTask: { reply: { ready: 2, running: 4, failed: 0 }, stripe_sync: { ready: 0, running: 1, failed: 0 } }
    }
  ]
})
export type QueueCounts = typeof QueueCounts.Type
