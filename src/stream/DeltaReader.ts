import { Clock, Effect, Latch } from "effect"
import { ReadSql } from "../database/Database.ts"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import type { LiveTexts } from "./LiveText.ts"

/** Milliseconds between two readings of all logs. */
const readEvery = 15

/** Reads the other processes' logs, all with one query a tick, while anybody here wants it. */
export const makeDeltaReader = Effect.fnUntraced(function* (live: LiveTexts, ownNumber: () => number | undefined) {
  const readSql = yield* ReadSql
  const reads = yield* Latch.make(false)
  let readers = 0
  let seen = new Map<number, number>()

  const read = Effect.gen(function* () {
    const known = JSON.stringify([...seen].map(([w, t]) => ({ w, t })))
    const rows = yield* readSql<{ workerNo: number; tick: number; body: string }>`
      with recursive workers as (
        select min(worker_no) as no from stream_log
        union all
        select (select min(worker_no) from stream_log where worker_no > workers.no) from workers where workers.no is not null
      )
      select s.worker_no, s.tick::float8 as tick, s.body
      from workers
      left join json_to_recordset(${known}::text::json) as k (w int, t bigint) on k.w = workers.no
      join stream_log s on s.worker_no = workers.no and s.tick > coalesce(k.t, 0)
      order by s.worker_no, s.tick
    `
    for (const { body, tick, workerNo } of rows) {
      seen.set(workerNo, tick)
      if (workerNo === ownNumber()) continue
      for (const [replyId, attempt, offset, text] of JSON.parse(body) as Array<[string, number, number, string]>) {
        live.apply({ replyId, attempt, offset, text })
      }
    }
  })

  const readOn = Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    yield* backgroundStep("Reading the delta logs failed", read)
    const took = (yield* Clock.currentTimeMillis) - began
    yield* Effect.sleep(Math.max(1, readEvery - took))
  })
  yield* reads.await.pipe(Effect.andThen(readOn), Effect.forever, Effect.forkScoped)

  /** Returns how to stop. */
  const want = () => {
    if (readers++ === 0) {
      seen = new Map()
      Effect.runSync(reads.open)
    }
    return () => {
      if (--readers === 0) Effect.runSync(reads.close)
    }
  }

  return { want }
})
