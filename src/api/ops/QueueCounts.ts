import { Schema } from "effect"
import { Count } from "../Schemas.ts"

const Task = Schema.Struct({ ready: Count, running: Count, failed: Count }).annotate({
  identifier: "TaskCounts",
  description: "Jobs of one task."
})

const Priority = Schema.Struct({
  ready: Count,
  running: Count,
  oldestSeconds: Schema.Finite.annotate({ description: "Seconds since the oldest ready job became due." })
}).annotate({ identifier: "PriorityCounts", description: "Jobs of one priority." })

export const QueueCounts = Schema.Struct({
  ready: Count.annotate({ description: "Jobs that are due and not running." }),
  running: Count,
  failed: Count.annotate({ description: "Jobs that failed and wait for a retry, or were given up." }),
  oldestSeconds: Schema.Finite.annotate({ description: "Seconds since the oldest ready job became due." }),
  byTask: Schema.Record(Schema.String, Task).annotate({ description: "The same counts by task name." }),
  byPriority: Schema.Struct({ pro: Priority, basic: Priority, background: Priority }).annotate({
    identifier: "CountsByPriority",
    description:
      "The same counts by priority: replies of Pro users with Basic ones that have waited for some seconds, replies of Basic users, and all other jobs."
  })
}).annotate({
  identifier: "QueueCounts",
  description: "Jobs in the queue, over all processes.",
  examples: [
    {
      ready: 2,
      running: 5,
      failed: 0,
      oldestSeconds: 0.12,
      byTask: { reply: { ready: 2, running: 4, failed: 0 }, stripe_sync: { ready: 0, running: 1, failed: 0 } },
      byPriority: {
        pro: { ready: 0, running: 3, oldestSeconds: 0 },
        basic: { ready: 2, running: 1, oldestSeconds: 0.12 },
        background: { ready: 0, running: 1, oldestSeconds: 0 }
      }
    }
  ]
})
export type QueueCounts = typeof QueueCounts.Type
