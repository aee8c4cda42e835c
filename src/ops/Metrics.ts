import { performance } from "node:perf_hooks"
import { Context, Effect, Layer, Metric } from "effect"
import { version } from "../api/Api.ts"
import { AppConfig } from "../config/Settings.ts"

type Attributes = Readonly<Record<string, string>>

/** Registers a series whose value lives in a service and is read at each scrape. */
const register = <Input, State>(metric: Metric.Metric<Input, State>, get: () => State): Effect.Effect<void> =>
  Effect.contextWith((context) =>
    Effect.sync(() => void Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} }))
  )

export const observedGauge = (name: string, description: string, read: () => number, attributes: Attributes = {}) =>
  register(Metric.gauge(name, { description, attributes }), () => ({ value: read() }))

export const observedCounter = (name: string, description: string, read: () => number, attributes: Attributes = {}) =>
  register(Metric.counter(name, { description, attributes, incremental: true }), () => ({ count: read(), incremental: true }))

/** A sum. Adding to it costs as much as adding to a number. */
export interface Counter {
  readonly add: (amount: number) => void
}

/** Counts values by the buckets that they fall into. */
export interface Histogram {
  readonly observe: (value: number) => void
}

/** The series of one name by the values of its labels. A series is made when its values are first asked for. */
type Family<Labels extends ReadonlyArray<string>, Series> = (...values: { readonly [Label in keyof Labels]: string }) => Series

/** Families by name, for each registry: services that count the same share a family. */
const families = new WeakMap<object, Map<string, unknown>>()

/**
 * Makes a family once for each registry. The values of labels must come from a fixed set (routes, statuses, models of the
 * settings), because each combination is a series for the life of the process.
 */
const makeFamily = <const Labels extends ReadonlyArray<string>, Series>(
  name: string,
  labels: Labels,
  make: (attributes: Attributes) => readonly [Series, Effect.Effect<void>]
): Effect.Effect<Family<Labels, Series>> =>
  Effect.map(Effect.context<never>(), (context) => {
    const registry = Context.get(context, Metric.MetricRegistry)
    const known = families.get(registry) ?? new Map<string, unknown>()
    families.set(registry, known)
    const existing = known.get(name) as Family<Labels, Series> | undefined
    if (existing !== undefined) return existing
    const series = new Map<string, Series>()
    const family: Family<Labels, Series> = (...values) => {
      const key = values.join("\n")
      const found = series.get(key)
      if (found !== undefined) return found
      const [made, registered] = make(Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ""])))
      Effect.runSyncWith(context)(registered)
      series.set(key, made)
      return made
    }
    known.set(name, family)
    return family
  })

export const counters = <const Labels extends ReadonlyArray<string>>(name: string, description: string, labels: Labels) =>
  makeFamily(name, labels, (attributes): readonly [Counter, Effect.Effect<void>] => {
    let count = 0
    const add = (amount: number) => void (count += amount)
    return [{ add }, observedCounter(name, description, () => count, attributes)]
  })

/** Numbers that rise and fall with what is added to them. */
export const gauges = <const Labels extends ReadonlyArray<string>>(name: string, description: string, labels: Labels) =>
  makeFamily(name, labels, (attributes): readonly [Counter, Effect.Effect<void>] => {
    let value = 0
    const add = (amount: number) => void (value += amount)
    return [{ add }, observedGauge(name, description, () => value, attributes)]
  })

/** `bounds` are the upper ends of the buckets, in ascending order; the last bucket has none. */
export const histograms = <const Labels extends ReadonlyArray<string>>(
  name: string,
  description: string,
  labels: Labels,
  bounds: ReadonlyArray<number>
) =>
  makeFamily(name, labels, (attributes): readonly [Histogram, Effect.Effect<void>] => {
    const counts = new Float64Array(bounds.length + 1)
    let sum = 0
    const observe = (value: number) => {
      let index = 0
      // Most values are in the first buckets, and there are few: a search in halves is not faster.
      while (index < bounds.length && value > (bounds[index] ?? Infinity)) index++
      counts[index] = (counts[index] ?? 0) + 1
      sum += value
    }
    const read = (): Metric.HistogramState => {
      let count = 0
      const buckets = bounds.map((bound, index): [number, number] => [bound, (count += counts[index] ?? 0)])
      return { buckets, count: count + (counts[bounds.length] ?? 0), sum, min: 0, max: 0 }
    }
    return [{ observe }, register(Metric.histogram(name, { description, attributes, boundaries: bounds }), read)]
  })

/** Buckets in seconds: for what a user waits for, and for what a model takes. */
export const requestSeconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
export const modelSeconds = [0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]

/** Counts what a cache has, and what it has to fetch. */
export const cacheLookups = (cache: string) =>
  Effect.map(
    counters("chat_cache_lookups_total", "Lookups in the caches of this process, by result.", ["cache", "result"]),
    (lookups) => ({ hit: lookups(cache, "hit"), miss: lookups(cache, "miss") })
  )

const processMetrics = Effect.gen(function* () {
  const { role } = yield* AppConfig
  yield* observedGauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss())
  yield* observedGauge("nodejs_heap_used_bytes", "Used heap.", () => process.memoryUsage().heapUsed)
  yield* observedCounter("process_cpu_seconds_total", "CPU time used.", () => {
    const { system, user } = process.cpuUsage()
    return (user + system) / 1e6
  })
  yield* observedGauge("process_uptime_seconds", "Time since the start.", () => process.uptime())
  yield* observedGauge(
    "process_start_time_seconds",
    "When the process started, in seconds since 1970.",
    () => performance.timeOrigin / 1_000
  )
  yield* observedCounter(
    "nodejs_eventloop_active_seconds_total",
    "Time in which the event loop was busy: a rate near 1 is a process at its limit.",
    () => performance.eventLoopUtilization().active / 1_000
  )
  yield* observedGauge("chat_build_info", "1, with what runs in this process.", () => 1, { version, role, node: process.version })
})

/** The registry of one instance of the product: tests run several in one process, and each has its own figures. */
const registry = Layer.sync(Metric.MetricRegistry, () => new Map())

export const MetricsLayer = Layer.effectDiscard(processMetrics).pipe(Layer.provideMerge(registry))
