import { Schema } from "effect"

const Task = Schema.Struct({ ready: Schema.Int, running: Schema.Int, failed: Schema.Int }).annotate({ identifier: "TaskCounts" })

export const QueueCounts = Schema.Struct({
  ready: Schema.Int.annotate({ description: "Jobs that are due and not taken." }),
  running: Schema.Int,
  failed: Schema.Int.annotate({ description: "Jobs that failed and wait for their next try, or were given up." }),
  oldestSeconds: Schema.Finite.annotate({ description: "How long the oldest ready job has been due." }),
  byTask: Schema.Record(Schema.String, Task)
}).annotate({ identifier: "QueueCounts" })
export type QueueCounts = typeof QueueCounts.Type
