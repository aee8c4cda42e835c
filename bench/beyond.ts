import pg from "pg"
import type { Effort, Line } from "./contest.ts"
import { requestText } from "./load.ts"
import { calm, residentMiB } from "./process.ts"
import { question, withSides } from "./sides.ts"
import type { Stage } from "./stage.ts"
import { byProcess, latency, median, number } from "./table.ts"

const modelMillis = 300

/** Milliseconds from accepted to finished, of the replies whose questions were accepted in a window. */
const taken = async (database: pg.Client, from: Date, to: Date) => {
  const { rows } = await database.query<{ count: number; failed: number; p50: number; p99: number }>(
    `select count(*)::int as count, (count(*) filter (where status <> 'completed'))::int as failed,
       percentile_disc(0.5) within group (order by took)::float8 as p50,
       percentile_disc(0.99) within group (order by took)::float8 as p99
     from (
       select status, 1000 * extract(epoch from completed_at - created_at) as took from messages
       where role = 'model' and created_at >= $1 and created_at < $2 and completed_at is not null
     ) replies`,
    [from, to]
  )
  return rows[0] ?? { count: 0, failed: 0, p50: Number.NaN, p99: Number.NaN }
}

/**
 * What the product adds to a model that takes 300 ms, with so many clients that each ask again when they have their reply:
 * from the time at which the question was accepted to that at which the reply was finished, as stored.
 */
export const beyond = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const inFlight = effort.rounds === 1 ? 20 : 200
  return withSides(stage, "bench_beyond", inFlight, 4, async ({ rooms, sides: [product] }) => {
    if (product === undefined) throw new Error("there is no product")
    const worker = await product.startWorker(inFlight)
    await stage.simulator.reset({ latencyMillis: modelMillis, chunkMillis: 0 })
    const requests = rooms.map(({ id, token }) => requestText("POST", `/chatroom/${id}/message?wait=30`, token, question))
    const target = { port: product.port, connections: inFlight, requests }
    const database = new pg.Client({ connectionString: product.databaseUrl })
    await database.connect()
    await stage.driver.run(target, effort.warmUp, {})
    await database.query("analyze")
    const rounds = []
    const faults: Array<string> = []
    for (let round = 0; round < effort.rounds; round++) {
      if (effort.isPatient) await calm()
      const from = new Date()
      const window = await stage.driver.run(target, 2 * effort.seconds, { worker: worker.pid, ...product.pids })
      // Those that were asked while all clients had asked; the driver waits for the last replies.
      rounds.push(
        await taken(database, new Date(from.getTime() + 2 * modelMillis), new Date(from.getTime() + 2_000 * effort.seconds))
      )
      for (const [status, times] of Object.entries(window.statuses)) if (status !== "201") faults.push(`${times} × ${status}`)
    }
    await database.end()
    const failed = rounds.reduce((sum, one) => sum + one.failed, 0)
    return [
      {
        path: `Accepted → finished beyond the model's ${modelMillis} ms, ${inFlight} in flight`,
        against: "–",
        product: `${number(median(rounds.map(({ count }) => count / (2 * effort.seconds - (2 * modelMillis) / 1_000))))} replies/s`,
        productLatency: latency(
          median(rounds.map(({ p50 }) => p50)) - modelMillis,
          median(rounds.map(({ p99 }) => p99)) - modelMillis
        ),
        productMemory: byProcess({ api: residentMiB(product.pids["api"] ?? 0), worker: residentMiB(worker.pid) }, 0),
        faults: failed > 0 ? [...faults, `${failed} replies not completed`] : faults
      }
    ]
  })
}
