import { Effect, Record } from "effect"
import { choice } from "./Reading.ts"

const logLevels = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  fatal: "Fatal",
  none: "None"
} as const

/** The least severe events that the log gets, as Effect names them. */
export const logLevel = Effect.map(choice("LOG_LEVEL", Record.keys(logLevels)), (level) => logLevels[level])

export type LogLevel = Effect.Success<typeof logLevel>
