import { Effect, Layer, Tracer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import { AppConfig } from "../config/Settings.ts"

/** An address without the token of a shared link. */
const withoutToken = (url: string): string => url.replace(/(\/share\/)[^/?#]+/i, "$1…")

/** A tracer whose spans hold no secrets of a URL: search words and Stripe's session ids in queries, and tokens of shared links. */
const withoutSecrets = (tracer: Tracer.Tracer): Tracer.Tracer =>
  Tracer.make({
    ...tracer,
    span: (options) => {
      const span = tracer.span(options)
      const attribute = span.attribute.bind(span)
      return Object.assign(span, {
        attribute: (key: string, value: unknown) => {
          if (key === "url.query") return
          if (key === "url.full") attribute(key, withoutToken(String(value).replace(/\?.*$/s, "")))
          else attribute(key, key === "url.path" ? withoutToken(String(value)) : value)
        }
      })
    }
  })

/**
 * Sends traces of requests, SQL statements and jobs to an OpenTelemetry collector, when one is configured: OTLP over HTTP
 * as JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Without one the native tracer stays, which costs nothing.
 */
export const TelemetryLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { otlpEndpoint, role } = yield* AppConfig
    if (otlpEndpoint === undefined) return Layer.empty
    const tracer = OtlpTracer.make({
      url: `${otlpEndpoint}/v1/traces`,
      resource: { serviceName: "gemini-chat-backend", attributes: { "service.role": role } },
      shutdownTimeout: "2 seconds"
    })
    return Layer.effect(Tracer.Tracer, Effect.map(tracer, withoutSecrets)).pipe(
      Layer.provide([OtlpExporter.layerFlusher, OtlpSerialization.layerJson, FetchHttpClient.layer])
    )
  })
)
