import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { type Effort, type Line, quotients } from "./contest.ts"
import type { Target } from "./load.ts"
import { calm, meterCpu, residentMiB, type Running } from "./process.ts"
import { analyze, connections, questionsTo, type Side, withSides } from "./sides.ts"
import type { Stage } from "./stage.ts"
import { byProcess, median, number } from "./table.ts"

interface Drain {
  readonly perSecond: number
  readonly cores: Readonly<Record<string, number>>
  readonly failed: number
}

/** Questions are accepted while the worker is stopped; then it goes on, until all their replies are finished. */
const drain = async (
  stage: Stage,
  side: Side,
  worker: Running,
  requests: ReadonlyArray<string>,
  count: number
): Promise<Drain> => {
  const database = new pg.Client({ connectionString: side.databaseUrl })
  await database.connect()
  process.kill(worker.pid, "SIGSTOP")
  const target: Target = { port: side.port, connections, requests, most: count }
  await stage.driver.run(target, 600, {})
  const meter = meterCpu({ worker: worker.pid, ...side.pids, simulator: stage.simulatorPid })
  const from = Date.now()
  process.kill(worker.pid, "SIGCONT")
  for (;;) {
    await sleep(100)
    const { rows } = await database.query("select from messages where completed_at is null limit 1")
    if (rows.length === 0) break
  }
  const cores = meter()
  const { rows } = await database.query<{ last: Date; done: number; failed: number }>(
    `select max(completed_at) as last, count(*)::int as done, (count(*) filter (where status <> 'completed'))::int as failed
     from messages where role = 'model' and completed_at >= $1`,
    [new Date(from)]
  )
  await database.end()
  const [{ done, failed, last } = { done: 0, failed: 0, last: new Date(from) }] = rows
  return { perSecond: done / ((last.getTime() - from) / 1000), cores, failed: failed + Math.max(0, count - done) }
}

const drainCells = (drains: ReadonlyArray<Drain>) => {
  const names = Object.keys(drains[0]?.cores ?? {}).filter((name) => name !== "idle")
  const each = (name: string) => median(drains.map(({ cores, perSecond }) => ((cores[name] ?? Number.NaN) / perSecond) * 1e6))
  return {
    rate: `${number(median(drains.map(({ perSecond }) => perSecond)))}/s`,
    cost: byProcess(Object.fromEntries(names.map((name) => [name, each(name)])), 0)
  }
}

const workerConcurrency = 100

/** Replies finished from a backlog, with a model that answers at once. */
export const finished = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const backlog = effort.rounds === 1 ? 100 : 1_500
  const users = Math.ceil(backlog / 10)
  return withSides(stage, "bench_finish", users, 10 * (effort.rounds + 2), async ({ rooms, sides }) => {
    await stage.simulator.reset({ latencyMillis: 0, chunkMillis: 0 })
    const requests = questionsTo(rooms)
    const workers = await Promise.all(sides.map((side) => side.startWorker(workerConcurrency)))
    const drains = sides.map((): Array<Drain> => [])
    for (let round = -2; round < effort.rounds; round++) {
      if (round === 0) await analyze(sides)
      if (effort.isPatient) await calm()
      for (const [index, side] of sides.entries()) {
        const worker = workers[index]
        if (worker === undefined) continue
        const one = await drain(stage, side, worker, requests, backlog)
        if (round >= 0) drains[index]?.push(one) // the others are warm-up of the just-in-time compiler
      }
    }
    const memory = workers.map(({ pid }) => byProcess({ worker: residentMiB(pid) }, 0))
    const [ours = [], theirs] = drains
    const product = drainCells(ours)
    const line = {
      path: `Accepted → finished, model at 0 ms, ${number(backlog)} waiting`,
      against: `BullMQ's worker, both ${workerConcurrency} at a time`,
      product: product.rate,
      productCost: product.cost,
      productMemory: memory[0] ?? "–",
      faults: drains.flatMap((one, index) =>
        one.flatMap(({ failed }) => (failed > 0 ? [`${sides[index]?.name ?? ""}: ${failed} not completed`] : []))
      )
    }
    if (theirs === undefined) return [{ ...line, reference: "no Redis here" }]
    const reference = drainCells(theirs)
    return [
      {
        ...line,
        ratio: quotients(ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.perSecond ?? Number.NaN))),
        reference: reference.rate,
        referenceCost: reference.cost,
        referenceMemory: memory[1] ?? "–"
      }
    ]
  })
}
