import { Effect, Record, Redacted, Result } from "effect"
import { choice, fail, items, optional, optionalSecret, optionalUrl, text } from "./Reading.ts"
import type { VariableName } from "./Variables.ts"

/** Where traces go, and which: OpenTelemetry's own variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). */
export interface TracingSettings {
  /** That spans are posted to. */
  readonly url: string
  /** Redacted, because they may hold a key of the collector. */
  readonly headers: Readonly<Record<string, Redacted.Redacted>>
  readonly serviceName: string
  readonly attributes: Readonly<Record<string, string>>
  readonly sampler: Sampler
  readonly protocol: (typeof protocols)[number]
  readonly compression: (typeof compressions)[number]
}

const protocols = ["http/json", "http/protobuf"] as const
const compressions = ["none", "gzip"] as const

/** Which traces are sent. */
export interface Sampler {
  /** Whether a caller's `traceparent` decides for its trace. */
  readonly isParentBased: boolean
  /** The share of traces, from 0 to 1. */
  readonly ratio: number
}

/** `name=value` pairs, separated by commas; the values are percent-encoded. */
const pairs = (name: VariableName, list: string) =>
  Effect.forEach(items(list), (item) => {
    const [, key, encoded] = /^([^=\s]+)\s*=\s*(.*)$/.exec(item) ?? []
    const value = encoded === undefined ? undefined : Result.try(() => decodeURIComponent(encoded))
    return key === undefined || value === undefined || Result.isFailure(value)
      ? fail(name, "must be a list like name=value,other=value")
      : Effect.succeed([key, value.success] as const)
  }).pipe(Effect.map((entries): Readonly<Record<string, string>> => Object.fromEntries(entries)))

const samplers = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio"
] as const

const sampler = Effect.gen(function* () {
  const name = yield* choice("OTEL_TRACES_SAMPLER", samplers)
  const share = Number(yield* text("OTEL_TRACES_SAMPLER_ARG"))
  if (!(share >= 0 && share <= 1)) return yield* fail("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
  const ratio = name.endsWith("always_on") ? 1 : name.endsWith("always_off") ? 0 : share
  return { isParentBased: name.startsWith("parentbased_"), ratio }
})

/** Undefined without a collector. */
export const tracing = Effect.gen(function* () {
  const schemes = ["http:", "https:"]
  const base = yield* optionalUrl("OTEL_EXPORTER_OTLP_ENDPOINT", schemes)
  const own = yield* optionalUrl("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", schemes)
  const headers = Redacted.value((yield* optionalSecret("OTEL_EXPORTER_OTLP_HEADERS")) ?? Redacted.make(""))
  const settings = {
    headers: Record.map(yield* pairs("OTEL_EXPORTER_OTLP_HEADERS", headers), (value) => Redacted.make(value)),
    serviceName: yield* text("OTEL_SERVICE_NAME"),
    attributes: yield* pairs("OTEL_RESOURCE_ATTRIBUTES", (yield* optional("OTEL_RESOURCE_ATTRIBUTES")) ?? ""),
    sampler: yield* sampler,
    protocol: yield* choice("OTEL_EXPORTER_OTLP_PROTOCOL", protocols),
    compression: yield* choice("OTEL_EXPORTER_OTLP_COMPRESSION", compressions)
  }
  const exporter = yield* choice("OTEL_TRACES_EXPORTER", ["otlp", "none"])
  const isDisabled = (yield* choice("OTEL_SDK_DISABLED", ["true", "false"])) === "true" || exporter === "none"
  const url = own ?? (base === undefined ? undefined : `${base}/v1/traces`)
  return isDisabled || url === undefined ? undefined : { url, ...settings }
})
