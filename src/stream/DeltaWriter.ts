import { Effect, Latch, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { DeltaOutbox, segmentKey, type WrittenBy } from "./DeltaOutbox.ts"
import { encodeDeltas } from "./DeltaRow.ts"
import { type LiveTexts, type TextDelta, thoughtsKey } from "./LiveText.ts"

/** Milliseconds between two rows of a process. */
const tickMillis = 25
/** Seconds for which a process keeps its rows, so that readers can catch up. */
const keptSeconds = 10
/** Ended attempts whose segments one statement deletes. */
const endedBatch = 1_000

/** This process's rows of the delta log, one for each tick. It is their only writer, so ticks are committed in order. */
const makeOwnRows = Effect.fnUntraced(function* () {
  const sql = yield* SqlClient.SqlClient
  let worker: number | undefined
  let tick = 0
  let deletedTick = 0

  /** Gives this process its number. Until it has one, readers cannot tell its rows from others'. */
  const register = Effect.gen(function* () {
    if (worker !== undefined) return
    const [row] = yield* sql<{ number: number }>`select nextval('worker_numbers')::int as number`
    worker = row?.number
  })

  const insert = Effect.fnUntraced(function* (deltas: ReadonlyArray<TextDelta>) {
    tick++
    // If the answer to an insert was lost, the retry finds the same row there.
    yield* sql`
      insert into stream_log (worker_no, tick, body) values (${worker}, ${tick}::bigint, ${encodeDeltas(deltas)}) on conflict do nothing
    `.pipe(Effect.retry({ times: 2, schedule: Schedule.spaced("50 millis") }))
  })

  const deleteOld = Effect.gen(function* () {
    if (worker === undefined || deletedTick === tick) return
    const deleted = yield* sql<{ tick: number }>`
      delete from stream_log where worker_no = ${worker} and written_at < now() - make_interval(secs => ${keptSeconds})
      returning tick::float8 as tick
    `
    for (const row of deleted) deletedTick = Math.max(deletedTick, row.tick)
  })

  return { number: () => worker, register, insert, deleteOld }
})

/**
 * Where a segment of thoughts is stored: offsets of text are 0 and up, those of thoughts -1 and down. A process of a release
 * that knows no thoughts skips negative offsets.
 */
export const thoughtOffset = (start: number): number => -1 - start

const offsetOf = (start: number, isThought = false) => (isThought ? thoughtOffset(start) : start)

const storeSegments = Effect.fnUntraced(function* (outbox: DeltaOutbox) {
  const sql = yield* SqlClient.SqlClient
  const segments = outbox.unstored()
  if (segments.length === 0) return
  const rows = segments.map(({ isThought, previousStart, start, ...segment }) => ({
    ...segment,
    start: offsetOf(start, isThought),
    previousStart: previousStart === null ? null : offsetOf(previousStart, isThought)
  }))
  // If the answer to an insert was lost, the segment is there already, and shorter than the text is now.
  const kept = yield* sql<{ replyId: string; isThought: boolean }>`
    insert into stream_segments as s
    select n."userId", n."replyId", n.attempt, n.start, n.text
    from json_to_recordset(${JSON.stringify(rows)}::text::json)
      as n ("userId" uuid, "replyId" uuid, attempt int, start int, text text, "previousStart" int)
    where n."previousStart" is null or exists (
      select from stream_segments p where p.user_id = n."userId" and p.reply_id = n."replyId"
        and p.attempt = n.attempt and p.start_offset = n."previousStart")
    on conflict (user_id, reply_id, attempt, start_offset) do update set body = excluded.body
    where length(s.body) <= length(excluded.body)
    returning s.reply_id, s.start_offset < 0 as is_thought
  `
  outbox.markStored(segments, new Set(kept.map(segmentKey)))
})

const deleteEndedSegments = Effect.fnUntraced(function* (outbox: DeltaOutbox) {
  const sql = yield* SqlClient.SqlClient
  const ended = outbox.takeEnded(endedBatch)
  if (ended.length === 0) return
  yield* sql`
    delete from stream_segments s
    using json_to_recordset(${JSON.stringify(ended)}::text::json) as e ("userId" uuid, "replyId" uuid, attempt int)
    where s.user_id = e."userId" and s.reply_id = e."replyId" and s.attempt <= e.attempt
  `
})

/**
 * Writes the text of this process's attempts: deltas to the log, one row a tick, and every second the whole text to
 * segments, from which a client that joins in the middle starts.
 */
export const makeDeltaWriter = Effect.fnUntraced(function* (live: LiveTexts) {
  const outbox = new DeltaOutbox()
  const rows = yield* makeOwnRows()
  const hasDeltas = yield* Latch.make(false)

  const writeRow = Effect.gen(function* () {
    yield* rows.register
    const deltas = outbox.takeDeltas()
    yield* hasDeltas.close
    if (deltas.length > 0) yield* rows.insert(deltas)
    if (outbox.hasDeltas()) yield* hasDeltas.open
  })
  const writeStep = backgroundStep("Writing the delta log failed", writeRow)
  const tidyStep = Effect.andThen(
    backgroundStep("Storing segments failed", storeSegments(outbox)),
    Effect.andThen(
      backgroundStep("Deleting segments failed", deleteEndedSegments(outbox)),
      backgroundStep("Deleting old deltas failed", rows.deleteOld)
    )
  )

  // The pause comes after the row, so the first words after a silence are written at once.
  yield* hasDeltas.await.pipe(
    Effect.andThen(writeStep),
    Effect.andThen(Effect.sleep(tickMillis)),
    Effect.forever,
    Effect.forkScoped
  )
  yield* tidyStep.pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
  yield* Effect.addFinalizer(() => Effect.andThen(writeStep, tidyStep))

  return {
    /** The number in this process's rows, once it has one. */
    number: rows.number,
    append: (attempt: WrittenBy, text: string): void => {
      const delta = outbox.append(attempt, text)
      if (delta === undefined) return
      live.apply(delta)
      hasDeltas.openUnsafe()
    },
    close: (replyId: string, attempt: number) =>
      Effect.sync(() => {
        outbox.close(replyId, attempt)
        live.forget(replyId, attempt)
        live.forget(thoughtsKey(replyId), attempt)
      })
  }
})
