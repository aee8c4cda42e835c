import { setTimeout as sleep } from "node:timers/promises"
import { ask, type Experiment } from "./Experiment.ts"

/** Seconds until all processes are up, all replies have ended, and everything that dead processes left is gone. */
const maximumSeconds = { up: 60, ended: 120, cleanUp: 120 }

/** Waits and returns the seconds; a violation when it takes too long. */
const within = async ({ ledger }: Experiment, what: string, seconds: number, look: () => Promise<boolean>): Promise<number> => {
  const begun = Date.now()
  const waited = () => (Date.now() - begun) / 1_000
  while (!(await look().catch(() => false))) {
    if (waited() > seconds) {
      ledger.violate("settles", `${what}: not within ${seconds} s`)
      break
    }
    await sleep(250)
  }
  return waited()
}

const isUp = async (experiment: Experiment): Promise<boolean> => {
  if (!experiment.processes.every((process) => process.isRunning)) return false
  const answers = await Promise.all(experiment.apis.map((api) => ask(experiment, api, { method: "GET", path: "/readyz" })))
  return answers.every(({ status }) => status === 200)
}

/** Waits until all processes are up and every reply has ended. */
export const settle = async (experiment: Experiment): Promise<void> => {
  const { database, ledger } = experiment
  await within(experiment, "all processes up", maximumSeconds.up, () => isUp(experiment))
  const seconds = await within(experiment, "all replies ended", maximumSeconds.ended, async () => {
    const [row] = await database.query<{ left: number }>(
      "select count(*)::int as left from messages where status in ('held', 'queued', 'processing', 'waiting')"
    )
    return row?.left === 0
  })
  ledger.most("until all replies had ended (s)", Math.round(seconds))
}

/** Waits until sweeps have removed everything that dead processes left; `inHurry` moves their times into the past. */
export const awaitCleanUp = async (experiment: Experiment, inHurry: boolean): Promise<void> => {
  const { database, ledger } = experiment
  if (inHurry) {
    await sleep(11_000) // by then every living worker has sent another heartbeat
    await database.query(
      "update worker_heartbeats set seen_at = now() - interval '46 seconds' where seen_at < now() - interval '11 seconds'"
    )
    await database.query("update graphile_worker._private_jobs set locked_at = locked_at - interval '46 seconds'")
    await database.query("update stream_log set written_at = now() - interval '61 seconds'")
  }
  const left = async () => {
    const [row] = await database.query<{ log: number; segments: number; locked: number; waiting: number }>(`
      select (select count(*) from stream_log)::int as log, (select count(*) from stream_segments)::int as segments,
        (select count(*) from graphile_worker.jobs j where locked_by is not null
          and not exists (select from worker_heartbeats h where j.locked_by = any(h.graphile_worker_ids)))::int as locked,
        (select count(*) from graphile_worker.jobs where task_identifier = 'reply' and key is not null)::int as waiting`)
    return row ?? { log: 0, segments: 0, locked: 0, waiting: 0 }
  }
  const isClean = async () => Object.values(await left()).every((count) => count === 0)
  const seconds = await within(experiment, "clean-up after dead processes", maximumSeconds.cleanUp, isClean)
  ledger.most("until all was cleaned up (s)", Math.round(seconds))
  const { locked, log, segments, waiting } = await left()
  if (log + segments > 0) ledger.violate("tables-empty", `${log} rows in stream_log, ${segments} in stream_segments`)
  if (locked + waiting > 0)
    ledger.violate(
      "jobs-free",
      `${locked} jobs locked by dead workers, ${waiting} of replies that have ended: ${JSON.stringify(await database.query("select * from graphile_worker.jobs"))}`
    )
}
