import { Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { AppConfig } from "../config/Settings.ts"

/**
 * Sends traces of requests, SQL statements and jobs to an OpenTelemetry collector, when one is configured: OTLP over HTTP
 * as JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp). Without one the native tracer stays, which costs nothing.
 */
export const TelemetryLayer = Layer.unwrap(
  Effect.gen(function* () {
    const { otlpEndpoint, role } = yield* AppConfig
    if (otlpEndpoint === undefined) return Layer.empty
    return OtlpTracer.layer({
      url: `${otlpEndpoint}/v1/traces`,
      resource: { serviceName: "gemini-chat-backend", attributes: { "service.role": role } },
      shutdownTimeout: "2 seconds"
    }).pipe(Layer.provide([OtlpSerialization.layerJson, FetchHttpClient.layer]))
  })
)
