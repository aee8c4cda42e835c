import { Context, type Effect } from "effect"

/** A kind of job. The queue retries a job that fails, with backoff. */
export interface Task {
  /** The name under which jobs are added. */
  readonly name: string
  readonly run: (payload: unknown) => Effect.Effect<void, unknown>
  /**
   * When the task also runs without a job being added, in crontab syntax (UTC): once in the fleet. A run that waits for
   * its retry is replaced by the next one.
   */
  readonly cron?: string | undefined
  /** Whether it asks the model. Such jobs take seconds to minutes, so all others run in a pool of their own. */
  readonly asksModel?: boolean | undefined
  /** Whether a job that the shutdown interrupts is done, because the task has added another job for the rest. */
  readonly interruptedIsDone?: boolean | undefined
}

/** All tasks of the worker; each feature makes its own. */
export class Tasks extends Context.Service<Tasks, ReadonlyArray<Task>>()("chat-backend/queue/Tasks") {}
