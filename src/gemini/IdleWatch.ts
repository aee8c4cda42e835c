import { Effect } from "effect"
import { GeminiError } from "./GeminiError.ts"

/** A call is given up after this many seconds without an event. */
const idleSeconds = 60

const idleTimeout = new GeminiError({ kind: "unavailable", detail: `no event from the model for ${idleSeconds} seconds` })

/**
 * Watches a call for silence. It checks once a second how long ago the last event was, which is cheaper than a new timer for
 * each event. Text may follow a finish reason, so the finish reason does not shorten the wait.
 */
export const watchIdle = Effect.sync(() => {
  let seconds = 0
  let isFinished = false
  let isPaused = false
  const check = Effect.suspend(() => {
    if (isPaused) return Effect.succeed(false)
    seconds++
    if (seconds <= idleSeconds) return Effect.succeed(false)
    return isFinished ? Effect.succeed(true) : Effect.fail(idleTimeout)
  })
  return {
    reset: (withFinishReason: boolean) => {
      seconds = 0
      isFinished ||= withFinishReason
    },
    pause: () => {
      isPaused = true
    },
    resume: () => {
      isPaused = false
      seconds = 0
    },
    /** When the call is idle for too long, ends if the answer has a finish reason, and fails if it has none. */
    over: check.pipe(Effect.delay("1 second"), Effect.repeat({ until: (isOver) => isOver }), Effect.as("given_up" as const))
  }
})
