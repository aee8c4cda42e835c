/**
 * `npm run bench:overload`: more requests than the product can answer, for some seconds, with the bound on requests in
 * progress and without it. Closed loops with more and more connections find the peak rate; then open loops offer
 * multiples of it. The figure that counts is the rate of answers within a second.
 */
import { fork } from "node:child_process"
import { availableParallelism, loadavg } from "node:os"
import { ask, requestText } from "./load.ts"
import type { OpenJob, OpenLoad } from "./openLoop.ts"
import { calm, meterCpu, residentMiB } from "./process.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { type Api, openStage, type Stage, startApi } from "./stage.ts"
import { byProcess, number, table } from "./table.ts"

const asked = process.argv.slice(2)
const users = 500
const roomsEach = 40
const question = { content: "Name three rivers of India." }
const seconds = Number(process.env["OVERLOAD_SECONDS"] ?? 8)
/** Milliseconds within which an answer is useful, and after which a client hangs up. */
const usefulMillis = 1_000
const maxWaitMillis = 10_000
const connections = Number(process.env["OVERLOAD_CONNECTIONS"] ?? 2_000)
const factors = [1, 2, 5]
/** The value of `REQUEST_CONCURRENCY` for a process without the bound. */
const unbounded = "100000"

const quantile = (values: ReadonlyArray<number>, share: number) => values[Math.floor(values.length * share)] ?? Number.NaN

interface Kind {
  readonly name: string
  readonly status: string
  readonly requests: (api: Api, tokens: ReadonlyArray<string>) => Promise<ReadonlyArray<string>>
}

/** A write that waits for a commit, and a read that is always answered from the database. */
const kinds: ReadonlyArray<Kind> = [
  {
    name: "POST message",
    status: "202",
    requests: async (api, tokens) =>
      (await seedRooms(api.url, tokens, roomsEach)).flatMap(({ id, token }) =>
        Array.from({ length: 4 }, () => requestText("POST", `/chatroom/${id}/message`, token, question))
      )
  },
  {
    name: "GET latest",
    status: "200",
    requests: async (api, tokens) =>
      (await seedRooms(api.url, tokens, 2)).map(({ id, token }) => requestText("GET", `/chatroom/${id}/latest`, token))
  }
]

interface Side {
  readonly name: string
  readonly api: Api
  readonly requests: ReadonlyArray<string>
}

/** Answers per second and their latency in a closed loop; the peak is where more connections bring no more answers. */
const closedLoop = async (stage: Stage, { api, name, requests }: Side, status: string, count: number) => {
  const load = await stage.driver.run({ port: api.port, requests, connections: count }, 2, { api: api.pid })
  const rate = (load.statuses[status] ?? 0) / load.seconds
  const others = Object.entries(load.statuses).flatMap(([code, times]) => (code === status ? [] : [`${times} × ${code}`]))
  return {
    rate,
    cells: [name, String(count), number(rate), `${number(load.p50, 1)} / ${number(load.p99, 1)}`, others.join(", ")]
  }
}

const openLoop = async ({ api, name }: Side, requests: ReadonlyArray<string>, status: string, rate: number) => {
  const child = fork(new URL("./openLoop.ts", import.meta.url))
  const job: OpenJob = { port: api.port, requests, rate, seconds, connections, maxWaitMillis }
  let memory = 0
  const watch = setInterval(() => (memory = Math.max(memory, residentMiB(api.pid))), 200)
  const meter = meterCpu({ api: api.pid, driver: child.pid ?? 0 })
  const load = await ask<OpenLoad>(child, job)
  const cores = meter()
  clearInterval(watch)
  child.kill()
  const accepted = load.latencies[status] ?? []
  const refused = load.latencies["503"] ?? []
  const others = Object.entries(load.latencies).flatMap(([code, { length }]) =>
    code === status || code === "503" ? [] : [`${length} × ${code}`]
  )
  const good = accepted.filter((millis) => millis <= usefulMillis).length
  return [
    name,
    number(load.sent / seconds),
    number(good / seconds),
    number(accepted.length / seconds),
    `${number(quantile(accepted, 0.5))} / ${number(quantile(accepted, 0.99))}`,
    number(refused.length / seconds),
    [`${load.givenUp} gave up`, `${load.resets} reset`, ...others].join(", "),
    number(memory),
    byProcess(cores, 2)
  ]
}

const measure = async (stage: Stage, kind: Kind) => {
  const sides: Array<Side> = []
  for (const [name, bound] of [["bounded"], ["without", unbounded]] as const) {
    const settings = stage.settings(await stage.createDatabase(`bench_overload_${kind.status}_${name}`))
    const api = await startApi(
      { ...settings, ...(bound === undefined ? {} : { REQUEST_CONCURRENCY: bound }) },
      "api",
      stage.entry
    )
    const requests = await kind.requests(api, await seedTokens(settings, users))
    sides.push({ name, api, requests })
    await stage.driver.run({ port: api.port, requests, connections: 64 }, 2, { api: api.pid })
  }
  const closed: Array<ReadonlyArray<string>> = []
  let peak = 0
  for (const count of [4, 16, 64, 256, 1024]) {
    for (const side of sides) {
      await calm()
      const { cells, rate } = await closedLoop(stage, side, kind.status, count)
      closed.push(cells)
      peak = Math.max(peak, rate)
    }
  }
  console.log(`${kind.name}, closed loop:\n\n${table(["", "connections", `${kind.status}/s`, "p50 / p99 ms", "else"], closed)}\n`)

  const open: Array<ReadonlyArray<string>> = []
  for (const [index, factor] of factors.entries()) {
    for (const side of sides) {
      await calm()
      // A room takes four unanswered questions, so each load has rooms of its own.
      const share = Math.floor(side.requests.length / (factors.length + 1))
      const requests = side.requests.slice((index + 1) * share, (index + 2) * share)
      open.push([`${factor}×, ${number(peak * factor)}/s`, ...(await openLoop(side, requests, kind.status, peak * factor))])
    }
  }
  await Promise.all(sides.map(({ api }) => api.stop()))
  const titles = [
    "offered",
    "",
    "sent/s",
    `${kind.status} within 1 s, /s`,
    `${kind.status}/s`,
    "its p50 / p99 ms",
    "503/s",
    "else",
    "RSS MiB at most",
    "cores"
  ]
  console.log(
    `${kind.name}, open loop, ${seconds} s each, ${connections} connections, clients that hang up after ${maxWaitMillis / 1000} s:\n\n${table(titles, open)}\n`
  )
}

const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores shared by all processes; load average before ${busyBefore.toFixed(2)}.
${await stage.describe()}\n`)
  for (const kind of kinds) if (asked.length === 0 || asked.includes(kind.status)) await measure(stage, kind)
} finally {
  await stage.close()
}
