import { Context, Effect, Layer, Logger, References } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { escapeControls, oneLine, redact, secretsIn } from "./LogLine.ts"

/** Whether mobile numbers are shown in full: only where telling them is what a line is for. */
export const ShowsNumbers = Context.Reference<boolean>("chat-backend/ops/ShowsNumbers", { defaultValue: () => false })

/** What was logged, in words: texts as they are, anything else as JSON. */
const words = (part: unknown): string => (typeof part === "string" ? part : JSON.stringify(part))

/** For people: time (UTC), level, message, annotations, cause. */
const plain = Logger.map(Logger.formatStructured, ({ annotations, cause, level, message, timestamp }) => {
  const text = Array.isArray(message) ? message.map(words) : [words(message)]
  const details = Object.entries(annotations).map(([key, value]) => `${key}=${words(value)}`)
  return oneLine([timestamp.slice(11, 23), level.padEnd(5), ...text, ...details, cause ?? ""].join(" "))
})
const json = Logger.map(Logger.formatJson, escapeControls)

/**
 * One line an event, on stdout: JSON in production, plain text elsewhere. Whatever a message holds, it cannot break
 * its line, colour a terminal or show a secret.
 */
export const LoggingLayer = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* AppConfig
    const secrets = secretsIn(settings)
    const format = settings.environment === "production" ? json : plain
    const logger = Logger.make((event) => redact(format.log(event), secrets, event.fiber.getRef(ShowsNumbers)))
    return Layer.merge(
      Logger.layer([Logger.withConsoleLog(logger)]),
      Layer.succeed(References.MinimumLogLevel, settings.logLevel)
    )
  })
)
