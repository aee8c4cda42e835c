import { setTimeout as sleep } from "node:timers/promises"
import { ask, type World } from "./World.ts"

/** Seconds until all processes are up, until all replies have ended, and until what dead processes left is gone. */
const patience = { up: 60, ended: 120, tidy: 120 }

/** How long it took, in seconds; a violation when it takes too long. */
const within = async ({ ledger }: World, what: string, seconds: number, look: () => Promise<boolean>): Promise<number> => {
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

const isUp = async (world: World): Promise<boolean> => {
  if (!world.slots.every((slot) => slot.isFree)) return false
  const answers = await Promise.all(world.apis.map((api) => ask(world, api, { method: "GET", path: "/readyz" })))
  return answers.every(({ status }) => status === 200)
}

/** Waits until everybody is back and every reply has ended. */
export const settle = async (world: World): Promise<void> => {
  const { database, ledger } = world
  await within(world, "all processes up", patience.up, () => isUp(world))
  const seconds = await within(world, "all replies ended", patience.ended, async () => {
    const [row] = await database.query<{ left: number }>(
      "select count(*)::int as left from messages where status in ('held', 'queued', 'processing', 'waiting')"
    )
    return row?.left === 0
  })
  ledger.most("until all replies had ended (s)", Math.round(seconds))
}

/** What is left for those who clean up. Whoever is in a hurry lets the dead have been dead for longer. */
export const tidied = async (world: World, inHurry: boolean): Promise<void> => {
  const { database, ledger } = world
  if (inHurry) {
    await sleep(11_000) // by then every living worker has shown itself again
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
  const isTidy = async () => Object.values(await left()).every((count) => count === 0)
  const seconds = await within(world, "what the dead left is gone", patience.tidy, isTidy)
  ledger.most("until all was tidy (s)", Math.round(seconds))
  const { locked, log, segments, waiting } = await left()
  if (log + segments > 0) ledger.violate("tables-empty", `${log} rows in stream_log, ${segments} in stream_segments`)
  if (locked + waiting > 0)
    ledger.violate(
      "jobs-free",
      `${locked} jobs locked by the dead, ${waiting} that wake nobody: ${JSON.stringify(await database.query("select * from graphile_worker.jobs"))}`
    )
}
