import { type Cause, Clock, Effect } from "effect"

/**
 * Logs a warning at most once a minute, for what others can cause as often as they like. The first line after a pause says
 * how many were left out.
 */
export const makeRareWarning = () => {
  let quietUntil = 0
  let skipped = 0
  return (message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now < quietUntil) {
        skipped++
        return Effect.void
      }
      quietUntil = now + 60_000
      const more = skipped === 0 ? "" : ` (${skipped} more before)`
      skipped = 0
      return cause === undefined ? Effect.logWarning(message + more) : Effect.logWarning(message + more, cause)
    })
}
