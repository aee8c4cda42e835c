import { ConfigProvider, Effect, Redacted } from "effect"
import { assert, describe, it } from "vitest"
import { tracing } from "../../src/config/Tracing.ts"

const read = (variables: Record<string, string>) =>
  Effect.runPromise(tracing.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables)))))
const refusal = (variables: Record<string, string>) =>
  Effect.runPromise(tracing.pipe(Effect.flip, Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(variables))))).then(
    ({ message }) => message
  )

const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector.example:4318/" }

describe("tracing", () => {
  it("is off without a collector, and where the SDK is disabled", async () => {
    assert.isUndefined(await read({}))
    assert.isUndefined(await read({ ...endpoint, OTEL_SDK_DISABLED: "true" }))
    assert.isUndefined(await read({ ...endpoint, OTEL_TRACES_EXPORTER: "none" }))
  })

  it("posts to the path for traces, or to a URL of its own", async () => {
    assert.strictEqual((await read(endpoint))?.url, "https://collector.example:4318/v1/traces")
    const own = { ...endpoint, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://other.example/traces" }
    assert.strictEqual((await read(own))?.url, "https://other.example/traces")
  })

  it("reads headers and attributes, percent-encoded", async () => {
    const settings = await read({
      ...endpoint,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20abc%3D, x-tenant = chat",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=staging"
    })
    assert.strictEqual(Redacted.value(settings?.headers["authorization"] ?? Redacted.make("")), "Basic abc=")
    assert.strictEqual(Redacted.value(settings?.headers["x-tenant"] ?? Redacted.make("")), "chat")
    assert.deepStrictEqual(settings?.attributes, { "deployment.environment.name": "staging" })
    assert.strictEqual(settings?.serviceName, "gemini-chat-backend")
  })

  it("reads the sampler", async () => {
    const samplerOf = async (variables: Record<string, string>) => (await read({ ...endpoint, ...variables }))?.sampler
    assert.deepStrictEqual(await samplerOf({}), { isParentBased: true, ratio: 1 })
    assert.deepStrictEqual(await samplerOf({ OTEL_TRACES_SAMPLER: "always_off" }), { isParentBased: false, ratio: 0 })
    const ratio = { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" }
    assert.deepStrictEqual(await samplerOf(ratio), { isParentBased: true, ratio: 0.25 })
  })

  it("refuses what it cannot read, without printing it", async () => {
    const headers = await refusal({ ...endpoint, OTEL_EXPORTER_OTLP_HEADERS: "s3cret" })
    assert.include(headers, "OTEL_EXPORTER_OTLP_HEADERS: must be")
    assert.notInclude(headers, "s3cret")
    assert.include(await refusal({ ...endpoint, OTEL_TRACES_SAMPLER_ARG: "2" }), "OTEL_TRACES_SAMPLER_ARG: must be")
    assert.include(await refusal({ ...endpoint, OTEL_TRACES_SAMPLER: "jaeger_remote" }), "OTEL_TRACES_SAMPLER: must be")
    assert.include(await refusal({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }), "OTEL_EXPORTER_OTLP_PROTOCOL: must be")
    assert.include(await refusal({ ...endpoint, OTEL_TRACES_EXPORTER: "zipkin" }), "OTEL_TRACES_EXPORTER: must be")
    assert.include(await refusal({ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" }), "OTEL_EXPORTER_OTLP_ENDPOINT: must be")
  })
})
