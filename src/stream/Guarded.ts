import { Effect } from "effect"

/** Work that is done again and again: it has a time-out, and its failure is told and followed by a pause. */
export const guarded = (name: string, work: Effect.Effect<unknown, unknown>) =>
  work.pipe(
    Effect.timeout("10 seconds"),
    Effect.catchCause((cause) => Effect.andThen(Effect.logWarning(`${name} failed`, cause), Effect.sleep("1 second")))
  )
