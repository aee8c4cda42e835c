import { Cause, Effect, Exit, Layer, Option, Predicate, Record, Redacted, Tracer } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import { version } from "../api/Api.ts"
import { AppConfig } from "../config/Settings.ts"
import type { Sampler } from "../config/Tracing.ts"
import { LoggingLayer } from "./Logging.ts"
import { makeRareWarning } from "./RareLog.ts"

/** An address without the token of a shared link. */
const withoutToken = (url: string): string => url.replace(/(\/share\/)[^/?#]+/i, "$1…")

/** The attribute as it may leave the process; undefined for one that may not. Queries hold search words and Stripe's session ids. */
const cleanAttribute = (key: string, value: unknown): unknown => {
  if (key === "url.query") return undefined
  if (key === "url.full") return withoutToken(String(value).replace(/\?.*$/s, ""))
  return key === "url.path" ? withoutToken(String(value)) : value
}

/** By the conventions for databases, a statement's span is named by its operation and the database. */
const nameOfStatement = (text: string, database: string): Readonly<Record<string, string>> => {
  const operation = /^\s*(\w{1,20})/.exec(text)?.[1]?.toUpperCase() ?? "SQL"
  return { name: `${operation} ${database}`, operation }
}

/** The kind of an error: its tag, or its class, with the code of the system that it came from (an SQLSTATE, `ECONNRESET`). */
const kindOf = (error: unknown): string => {
  if (!Predicate.isObject(error)) return typeof error
  const name = Predicate.hasProperty(error, "_tag") ? String(error._tag) : error instanceof Error ? error.name : "object"
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : error
  const origin = Predicate.hasProperty(reason, "cause") ? reason.cause : reason
  const code = Predicate.hasProperty(origin, "code") && typeof origin.code === "string" ? origin.code : ""
  return /^[\w.-]{1,40}$/.test(code) ? `${name} ${code}` : name
}

/** A failure without its messages: those of a database or of a vendor may repeat what the user wrote. */
const withoutMessages = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return exit
  const error = Cause.squash(exit.cause)
  const clean = new Error(kindOf(error))
  clean.name = clean.message
  const frames = error instanceof Error ? (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)) : []
  clean.stack = [clean.message, ...frames].join("\n")
  return Exit.die(clean)
}

/** Whether a ratio takes a trace, by its id, so that all processes decide the same. */
const takes = (ratio: number, traceId: string): boolean => Number.parseInt(traceId.slice(-13), 16) < ratio * 2 ** 52

/** Requests and jobs begin traces. Anything else without a parent is upkeep of the process, such as its polling. */
const beginsTraces: ReadonlySet<Tracer.SpanKind> = new Set(["server", "consumer"])

/** A tracer that samples, and whose spans hold no secret and no text of a user. */
const discreet = (tracer: Tracer.Tracer, { isParentBased, ratio }: Sampler): Tracer.Tracer =>
  Tracer.make({
    ...tracer,
    span: (options) => {
      const span = tracer.span(options)
      const isRoot = Option.isNone(options.parent)
      const sampled = isRoot
        ? beginsTraces.has(options.kind) && takes(ratio, span.traceId)
        : // What follows in this process has the decision of its parent.
          isParentBased || options.parent.value._tag === "Span"
          ? span.sampled
          : takes(ratio, span.traceId)
      const attribute = span.attribute.bind(span)
      const end = span.end.bind(span)
      return Object.assign(span, {
        sampled,
        attribute: (key: string, value: unknown) => {
          if (key === "db.query.text") {
            const { name, operation } = nameOfStatement(String(value), options.name)
            Object.assign(span, { name })
            attribute("db.operation.name", operation)
          }
          const clean = cleanAttribute(key, value)
          if (clean !== undefined) attribute(key, clean)
        },
        end: (endTime: bigint, exit: Exit.Exit<unknown, unknown>) => {
          const clean = withoutMessages(exit)
          if (clean !== exit && Exit.isFailure(exit)) attribute("error.type", kindOf(Cause.squash(exit.cause)))
          end(endTime, clean)
        }
      })
    }
  })

/** The code of the system (`ECONNREFUSED`), which is in the cause of a cause. */
const systemCodeOf = (error: unknown): string | undefined => {
  if (!Predicate.isObject(error)) return undefined
  if (Predicate.hasProperty(error, "code") && typeof error.code === "string") return error.code
  return Predicate.hasProperty(error, "cause") ? systemCodeOf(error.cause) : undefined
}

/** Why a collector did not take traces, without what it answered. */
const refusalOf = ({ reason }: HttpClientError.HttpClientError): string =>
  reason._tag === "StatusCodeError"
    ? `it answers ${reason.response.status}`
    : `it cannot be reached (${systemCodeOf(reason) ?? reason._tag})`

/** The exporter gives up without a word, so that a wrong address or key would not be noticed. */
const warningClient = Layer.effect(
  HttpClient.HttpClient,
  Effect.gen(function* () {
    const client = yield* HttpClient.HttpClient
    const warn = makeRareWarning()
    return HttpClient.tapError(HttpClient.filterStatusOk(client), (error) =>
      warn(`The collector of OTEL_EXPORTER_OTLP_ENDPOINT does not take traces: ${refusalOf(error)}`)
    )
  })
).pipe(Layer.provide(FetchHttpClient.layer))

/**
 * Sends traces of requests, SQL statements, jobs and calls of the model to an OpenTelemetry collector, when one is
 * configured: OTLP over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Without one the native tracer
 * stays, which costs nothing.
 */
export const TelemetryLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { role, tracing } = yield* AppConfig
    if (tracing === undefined) return Layer.empty
    const tracer = OtlpTracer.make({
      url: tracing.url,
      headers: Record.map(tracing.headers, Redacted.value),
      compression: tracing.compression,
      resource: {
        serviceName: tracing.serviceName,
        serviceVersion: version,
        attributes: { "service.role": role, ...tracing.attributes }
      },
      shutdownTimeout: "2 seconds"
    })
    const serialization = tracing.protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf
    return Layer.effect(
      Tracer.Tracer,
      Effect.map(tracer, (made) => discreet(made, tracing.sampler))
    ).pipe(Layer.provide([OtlpExporter.layerFlusher, serialization, warningClient]))
  })
).pipe(Layer.provide(LoggingLayer))
