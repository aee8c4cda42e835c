import { type Duration, Effect } from "effect"

/**
 * One step of a loop in the background. It never fails, so the loop goes on: a failure, or a step that takes more than
 * ten seconds, is logged and followed by a pause.
 */
export const backgroundStep = <R>(
  warning: string,
  step: Effect.Effect<unknown, unknown, R>,
  { pause = "1 second" }: { readonly pause?: Duration.Input | undefined } = {}
): Effect.Effect<unknown, never, R> =>
  step.pipe(
    Effect.timeout("10 seconds"),
    Effect.catchCause((cause) => Effect.andThen(Effect.logWarning(warning, cause), Effect.sleep(pause)))
  )
