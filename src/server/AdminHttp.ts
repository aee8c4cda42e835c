import { timingSafeEqual } from "node:crypto"
import { Effect, Layer, Redacted } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { AppConfig } from "../config/Settings.ts"
import { Admission } from "./Admission.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { QueueState } from "../queue/QueueState.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { AdminAuthorization, AdminOff, AdminUnauthenticated } from "../api/ops/AdminApi.ts"

/** One metric in Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */
const metric = (
  name: string,
  type: "gauge" | "counter",
  help: string,
  samples: ReadonlyArray<readonly [labels: string, value: number]>
) =>
  [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples.map(([labels, value]) => `${name}${labels} ${value}`), ""].join(
    "\n"
  )

const processMetrics = () => {
  const memory = process.memoryUsage()
  const { system, user } = process.cpuUsage()
  return [
    metric("process_resident_memory_bytes", "gauge", "Resident memory.", [["", memory.rss]]),
    metric("nodejs_heap_used_bytes", "gauge", "Used heap.", [["", memory.heapUsed]]),
    metric("process_cpu_seconds_total", "counter", "CPU time used.", [["", (user + system) / 1e6]]),
    metric("process_uptime_seconds", "gauge", "Time since the start.", [["", process.uptime()]])
  ]
}

export const AdminAuthorizationLayer = Layer.effect(
  AdminAuthorization,
  Effect.gen(function* () {
    const { adminToken } = yield* AppConfig

    return AdminAuthorization.of({
      admin: Effect.fnUntraced(function* (httpEffect, { credential }) {
        if (adminToken === undefined) return yield* new AdminOff()
        const given = Buffer.from(Redacted.value(credential))
        const needed = Buffer.from(Redacted.value(adminToken))
        if (given.length !== needed.length || !timingSafeEqual(given, needed)) return yield* new AdminUnauthenticated()
        return yield* httpEffect
      })
    })
  })
)

export const AdminHttp = HttpApiBuilder.group(
  Api,
  "admin",
  Effect.fn(function* (handlers) {
    const queue = yield* QueueState
    const streams = yield* ReplyStream
    const admission = yield* Admission

    return handlers.handleAll({
      queue: () => unslotted(queue.read),
      metrics: Effect.fnUntraced(function* () {
        const { byTask, oldestSeconds } = yield* unslotted(queue.read)
        const jobs = Object.entries(byTask).flatMap(([task, counts]) =>
          Object.entries(counts).map(([state, count]) => [`{task="${task}",state="${state}"}`, count] as const)
        )
        const requests = Object.entries(admission.inProgress()).map(([what, count]) => [`{activity="${what}"}`, count] as const)
        return [
          ...processMetrics(),
          metric("chat_requests_in_progress", "gauge", "Requests in progress in this process.", requests),
          metric("chat_requests_refused_total", "counter", "Requests refused for being too many.", [["", admission.refused()]]),
          metric("chat_streams_open", "gauge", "Replies being watched in this process.", [["", streams.count()]]),
          metric("chat_queue_jobs", "gauge", "Jobs of the fleet's queue.", jobs),
          metric("chat_queue_oldest_seconds", "gauge", "How long the oldest ready job has been due.", [["", oldestSeconds]])
        ].join("")
      })
    })
  })
)
