import { Context, type Effect } from "effect"

/** Something the worker can do, by the name that jobs call it. A failure is retried by the queue, with backoff. */
export interface Task {
  readonly name: string
  readonly run: (payload: unknown) => Effect.Effect<void, unknown>
  /**
   * When it also runs by itself, as crontab writes it (UTC): once in the fleet. A run that waits for its retry is
   * replaced by the next one.
   */
  readonly cron?: string
}

/** All the worker can do: each feature makes its own tasks. */
export class Tasks extends Context.Service<Tasks, ReadonlyArray<Task>>()("chat-backend/queue/Tasks") {}
