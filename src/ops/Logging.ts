import { Context, Effect, type Fiber, Formatter, Layer, Logger, References } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { escapeControls, messagesFirst, oneLine, redact, secretsIn } from "./LogLine.ts"
import { spanOf } from "./Tracing.ts"

/** Whether log lines show mobile numbers in full: only in the line that delivers a one-time code. */
export const ShowsNumbers = Context.Reference<boolean>("chat-backend/ops/ShowsNumbers", { defaultValue: () => false })

/** Strings as they are, anything else as JSON. */
const textOf = (part: unknown): string => (typeof part === "string" ? part : JSON.stringify(part))

/** The ids of the trace that an event belongs to, under OpenTelemetry's names; none outside a trace. */
const traceOf = (fiber: Fiber.Fiber<unknown, unknown>): Readonly<Record<string, string>> => {
  const span = spanOf(fiber)
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }
}

/** For people: time of day in UTC, level, message, annotations that the message does not contain, cause. */
const plain = Logger.make<unknown, string>((event) => {
  const { annotations, cause, level, message, timestamp } = Logger.formatStructured.log(event)
  const text = Array.isArray(message) ? message.map(textOf) : [textOf(message)]
  const words = new Set(text.join(" ").split(" "))
  const details = Object.entries({ ...annotations, ...traceOf(event.fiber) })
    .filter(([, value]) => !words.has(textOf(value)))
    .map(([key, value]) => `${key}=${textOf(value)}`)
  return oneLine([timestamp.slice(11, 23), level.padEnd(5), ...text, ...details, messagesFirst(cause ?? "")].join(" "))
})
const json = Logger.make<unknown, string>((event) =>
  escapeControls(Formatter.formatJson({ ...Logger.formatStructured.log(event), ...traceOf(event.fiber) }))
)

/**
 * One line per event, on stdout: JSON in production, plain text otherwise. No message can break its line, colour a
 * terminal or show a secret.
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
