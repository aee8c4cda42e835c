import { Clock, Effect, Latch } from "effect"
import { ReadSql } from "../database/Database.ts"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { decodeDeltas } from "./DeltaRow.ts"
import type { LiveTexts } from "./LiveText.ts"

/** Milliseconds between the beginnings of two reads. */
const tickMillis = 15

/** Reads the rows of all other processes, with one query a tick, while this process has subscribers. */
export const makeDeltaReader = Effect.fnUntraced(function* (live: LiveTexts, ownNumber: () => number | undefined) {
  const readSql = yield* ReadSql
  const isSubscribed = yield* Latch.make(false)
  let subscribers = 0
  /** By process number, the newest tick that was read. */
  let lastTicks = new Map<number, number>()

  const read = Effect.gen(function* () {
    const known = JSON.stringify([...lastTicks].map(([w, t]) => ({ w, t })))
    // The recursion is a loose index scan: one look-up for each process, however many rows it has.
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
      lastTicks.set(workerNo, tick)
      if (workerNo === ownNumber()) continue
      for (const delta of decodeDeltas(body)) live.apply(delta)
    }
  })

  const readStep = Effect.gen(function* () {
    const startedAt = yield* Clock.currentTimeMillis
    yield* backgroundStep("Reading the delta log failed", read)
    const took = (yield* Clock.currentTimeMillis) - startedAt
    yield* Effect.sleep(Math.max(1, tickMillis - took))
  })
  yield* isSubscribed.await.pipe(Effect.andThen(readStep), Effect.forever, Effect.forkScoped)

  const subscribe = (): (() => void) => {
    if (subscribers++ === 0) {
      lastTicks = new Map()
      Effect.runSync(isSubscribed.open)
    }
    return () => {
      if (--subscribers === 0) Effect.runSync(isSubscribed.close)
    }
  }

  return { subscribe }
})
