import { Effect, Latch, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import type { LiveTexts } from "./LiveText.ts"

/** Milliseconds between two writes of a worker's log. */
const writeEvery = 25
/** Seconds a worker keeps its log. */
const keptSeconds = 10

export interface Attempt {
  readonly userId: string
  readonly replyId: string
  readonly attempt: number
}

interface Writing {
  readonly userId: string
  readonly attempt: number
  text: string
  /** How much of the text is in the log, and how much in the segments. */
  logged: number
  stored: number
  /** Where the newest segment starts: the next one is stored behind it alone. */
  newest: number | null
}

/**
 * Writes what this process' attempts say: deltas to its log, a row a tick, and once a second texts to the segments, from
 * which somebody who joins in the middle starts. It is the only writer of its log, so no tick can come after a later one.
 */
export const makeDeltaWriter = Effect.fnUntraced(function* (live: LiveTexts) {
  const sql = yield* SqlClient.SqlClient
  const writings = new Map<string, Writing>()
  const closed: Array<{ user_id: string; reply_id: string; attempt: number }> = []
  let dirty = new Set<string>()
  let number: number | undefined
  let tick = 0
  let dropped = 0

  const writes = yield* Latch.make(false)

  const write = Effect.gen(function* () {
    if (number === undefined) {
      const [row] = yield* sql<{ number: number }>`select nextval('worker_numbers')::int as number`
      number = row?.number
    }
    const deltas: Array<[string, number, number, string]> = []
    for (const replyId of dirty) {
      const writing = writings.get(replyId)
      if (writing === undefined) continue
      deltas.push([replyId, writing.attempt, writing.logged, writing.text.slice(writing.logged)])
      writing.logged = writing.text.length
    }
    dirty = new Set()
    yield* writes.close
    if (deltas.length === 0) return
    tick++
    // An insert whose answer was lost may be there already; the same row again changes nothing.
    yield* sql`
      insert into stream_log (worker_no, tick, body) values (${number}, ${tick}::bigint, ${JSON.stringify(deltas)}) on conflict do nothing
    `.pipe(Effect.retry({ times: 2, schedule: Schedule.spaced("50 millis") }))
  })

  const storeSegments = Effect.gen(function* () {
    const unstored = [...writings]
      .filter(([, { stored, text }]) => stored < text.length)
      .map(([reply_id, writing]) => ({
        writing,
        segment: {
          user_id: writing.userId,
          reply_id,
          attempt: writing.attempt,
          start_offset: writing.stored,
          body: writing.text.slice(writing.stored),
          behind: writing.newest
        }
      }))
    if (unstored.length === 0) return
    // An insert whose answer was lost may be there already, and shorter than what there is to store now.
    const kept = yield* sql<{ replyId: string }>`
      insert into stream_segments as s
      select n.user_id, n.reply_id, n.attempt, n.start_offset, n.body
      from json_to_recordset(${JSON.stringify(unstored.map(({ segment }) => segment))}::text::json)
        as n (user_id uuid, reply_id uuid, attempt int, start_offset int, body text, behind int)
      where n.behind is null or exists (
        select from stream_segments p where p.user_id = n.user_id and p.reply_id = n.reply_id
          and p.attempt = n.attempt and p.start_offset = n.behind)
      on conflict (user_id, reply_id, attempt, start_offset) do update set body = excluded.body
      where length(s.body) <= length(excluded.body)
      returning s.reply_id
    `
    const isKept = new Set(kept.map(({ replyId }) => replyId))
    for (const { segment, writing } of unstored) {
      // A crash of Postgres has emptied the table: a text that lacks its beginning is none, so it is stored anew.
      const isThere = isKept.has(segment.reply_id)
      writing.newest = isThere ? segment.start_offset : null
      writing.stored = isThere ? segment.start_offset + segment.body.length : 0
    }
  })

  const dropEnded = Effect.gen(function* () {
    const over = closed.splice(0, 1_000)
    if (over.length === 0) return
    yield* sql`
      delete from stream_segments s
      using json_to_recordset(${JSON.stringify(over)}::text::json) as c (user_id uuid, reply_id uuid, attempt int)
      where s.user_id = c.user_id and s.reply_id = c.reply_id and s.attempt <= c.attempt
    `
  })

  const dropOld = Effect.gen(function* () {
    if (number === undefined || dropped === tick) return
    const old = yield* sql<{ tick: number }>`
      delete from stream_log where worker_no = ${number} and written_at < now() - make_interval(secs => ${keptSeconds})
      returning tick::float8 as tick
    `
    for (const row of old) dropped = Math.max(dropped, row.tick)
  })

  const tidy = Effect.all([storeSegments, dropEnded, dropOld])

  // The first words after a silence go out at once; the pause comes after them.
  yield* writes.await.pipe(
    Effect.andThen(backgroundStep("Writing the delta log failed", write)),
    Effect.andThen(Effect.sleep(writeEvery)),
    Effect.forever,
    Effect.forkScoped
  )
  yield* backgroundStep("Storing segments failed", tidy).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(backgroundStep("Writing the delta log failed", write), backgroundStep("Storing segments failed", tidy))
  )

  return {
    /** The number of this process' log, once it has one. */
    number: () => number,
    append: ({ attempt, replyId, userId }: Attempt, text: string) => {
      let writing = writings.get(replyId)
      // A process that stood still may have taken its own reply over: then both attempts write here, and the newer counts.
      if (writing !== undefined && writing.attempt > attempt) return
      if (writing === undefined || writing.attempt < attempt) {
        writing = { userId, attempt, text: "", logged: 0, stored: 0, newest: null }
        writings.set(replyId, writing)
      }
      live.apply({ replyId, attempt, offset: writing.text.length, text })
      writing.text += text
      dirty.add(replyId)
      writes.openUnsafe()
    },
    close: (replyId: string, attempt: number) =>
      Effect.sync(() => {
        const writing = writings.get(replyId)
        // Its next attempt may have begun: elsewhere, or here.
        if (writing?.attempt !== attempt) return
        writings.delete(replyId)
        closed.push({ user_id: writing.userId, reply_id: replyId, attempt })
      })
  }
})
