import { Cause, ConfigProvider, Effect, Exit, Layer, type Runtime } from "effect"
import { SettingError } from "../config/Reading.ts"
import { oneLine, redact } from "./LogLine.ts"

/** Milliseconds after which a process that was told to go is ended, drained or not. */
const hardStop = 25_000

/** The environment's settings. An empty one is as good as none: shells and dashboards leave such behind. */
export const environment = (overrides: Readonly<Record<string, string>> = {}) => {
  const set = Object.entries({ ...process.env, ...overrides }).filter(([, value]) => value !== undefined && value !== "")
  return ConfigProvider.layer(ConfigProvider.fromUnknown(Object.fromEntries(set)))
}

/** One line, with the reason for what the operator can mend, and the whole cause for what only a developer can. */
const report = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  const clean = (text: string) => redact(oneLine(text))
  // Not the name: what follows the name of a secret is taken for one.
  const line =
    error instanceof SettingError
      ? `cannot start: ${error.setting}: ${clean(error.problem)}`
      : `cannot go on: ${clean(Cause.pretty(cause))}`
  process.stderr.write(`${line}\n`)
}

/** Tells of a failure before the process ends of it. */
export const reported = <A, E, R>(main: Effect.Effect<A, E, R>) =>
  Effect.tapCause(main, (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.sync(() => report(cause))))

/** Runs the layers until a signal. A process that cannot be drained in time is ended all the same. */
export const launch = <E>(layer: Layer.Layer<never, E> | Layer.Layer<unknown, E>) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => setTimeout(() => process.exit(1), hardStop).unref())
  }
  return reported(Layer.launch(layer))
}

/** A signal is a wish, not a failure: it exits 0, unless the process sent it to itself and left another code. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  onExit(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : Number(process.exitCode ?? 0))
