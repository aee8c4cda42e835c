import { Context, Effect, type Fiber, Option, Tracer } from "effect"
import { Headers, HttpTraceContext } from "effect/http"

/** The span that the fiber is in; undefined when nothing is traced, or outside a trace. */
export const spanOf = (fiber: Fiber.Fiber<unknown, unknown>): Tracer.AnySpan | undefined =>
  fiber.getRef(Tracer.Tracer) === Tracer.nativeTracer ? undefined : Context.getOrUndefined(fiber.context, Tracer.ParentSpan)

/**
 * The current span as a W3C `traceparent` (https://www.w3.org/TR/trace-context/), to be handed on; undefined when nothing is
 * traced. One that is not sampled is handed on too, so that the rest of its trace is not sampled either.
 */
export const currentTraceparent: Effect.Effect<string | undefined> = Effect.withFiber((fiber) => {
  const span = spanOf(fiber)
  return Effect.succeed(
    span === undefined
      ? undefined
      : `00-${span.traceId.padStart(32, "0")}-${span.spanId.padStart(16, "0")}-${span.sampled ? "01" : "00"}`
  )
})

/** The header that hands the trace on to another system. */
export const traceHeaders: Effect.Effect<Readonly<Record<string, string>>> = Effect.map(currentTraceparent, (traceparent) =>
  traceparent === undefined ? {} : { traceparent }
)

/** Runs a job in a span of its own, which continues the trace that the job was made in. */
export const jobSpan =
  (name: string, queue: string, traceparent: string | undefined) =>
  <A, E>(job: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withSpan(job, name, {
      kind: "consumer",
      parent: Option.getOrUndefined(HttpTraceContext.w3c(Headers.fromInput(traceparent === undefined ? {} : { traceparent }))),
      root: traceparent === undefined,
      attributes: {
        "messaging.system": "graphile_worker",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue
      }
    })
