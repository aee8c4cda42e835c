import { Effect, Layer, Metric } from "effect"

/** Registers a series whose value lives in a service and is read at each scrape. */
const register = <Input, State>(metric: Metric.Metric<Input, State>, get: () => State): Effect.Effect<void> =>
  Effect.contextWith((context) =>
    Effect.sync(() => void Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} }))
  )

export const observedGauge = (
  name: string,
  description: string,
  read: () => number,
  attributes: Readonly<Record<string, string>> = {}
) => register(Metric.gauge(name, { description, attributes }), () => ({ value: read() }))

export const observedCounter = (name: string, description: string, read: () => number) =>
  register(Metric.counter(name, { description, incremental: true }), () => ({ count: read(), incremental: true }))

const processMetrics = Effect.all([
  observedGauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss()),
  observedGauge("nodejs_heap_used_bytes", "Used heap.", () => process.memoryUsage().heapUsed),
  observedCounter("process_cpu_seconds_total", "CPU time used.", () => {
    const { system, user } = process.cpuUsage()
    return (user + system) / 1e6
  }),
  observedGauge("process_uptime_seconds", "Time since the start.", () => process.uptime())
])

/** The registry of one instance of the product: tests run several in one process, and each has its own figures. */
const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

export const MetricsLayer = Layer.effectDiscard(processMetrics).pipe(Layer.provideMerge(registry))
