import { Cause, ConfigProvider, Effect, Exit, Layer, type Runtime } from "effect"
import { SettingError } from "../config/Reading.ts"
import { oneLine, redact } from "./LogLine.ts"

/** Milliseconds after a signal at which the process exits, drained or not. */
const maxShutdownMillis = 25_000

/** The settings of the environment. An empty variable counts as unset: shells and dashboards leave such behind. */
export const environment = (overrides: Readonly<Record<string, string>> = {}) => {
  const set = Object.entries({ ...process.env, ...overrides }).filter(([, value]) => value !== undefined && value !== "")
  return ConfigProvider.layer(ConfigProvider.fromUnknown(Object.fromEntries(set)))
}

/** Prints one line for each reason that the operator can fix, or the whole cause when only a developer can. */
const report = (cause: Cause.Cause<unknown>) => {
  const error = Cause.squash(cause)
  const clean = (text: string) => redact(oneLine(text))
  // `clean` gets the problem alone: it would redact whatever follows the name of a secret.
  const lines =
    error instanceof SettingError
      ? [error, ...(error.others ?? [])].map(({ problem, setting }) => `cannot start: ${setting}: ${clean(problem)}`)
      : [`cannot go on: ${clean(Cause.pretty(cause))}`]
  process.stderr.write(lines.map((line) => `${line}\n`).join(""))
}

/** Reports a failure before the process exits because of it. */
export const reported = <A, E, R>(main: Effect.Effect<A, E, R>) =>
  Effect.tapCause(main, (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.sync(() => report(cause))))

/** Runs the layers until a signal; exits even if they cannot be closed in time. */
export const launch = <E>(layer: Layer.Layer<never, E> | Layer.Layer<unknown, E>) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => setTimeout(() => process.exit(1), maxShutdownMillis).unref())
  }
  return reported(Layer.launch(layer))
}

/** Stopping on a signal is success, unless the process sent the signal to itself and set another exit code. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  onExit(Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? 1 : Number(process.exitCode ?? 0))
