import { Clock, Context, Effect, Latch, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { ReadSql } from "../database/Database.ts"
import { LiveTexts } from "./LiveText.ts"

/** Milliseconds between two writes of a worker's log, and between two readings of all logs. */
const writeEvery = 25
const readEvery = 15
/** Seconds a worker keeps its log, and after which another process removes what a dead one left. */
const keptSeconds = 10
const abandonedSeconds = 60

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
 * Running texts, from the workers to every API process, through Postgres alone: a worker writes one row a tick
 * with the deltas of all its replies, a process with readers reads all new rows with one query a tick. Within a
 * process deltas are handed over directly. All of it is a hint: the truth is the finished reply.
 */
export class StreamLog extends Context.Service<
  StreamLog,
  {
    readonly live: LiveTexts
    /** Appends what an attempt has just written; no effect, as it is called for every piece of every answer. */
    readonly append: (
      reply: { readonly userId: string; readonly replyId: string; readonly attempt: number },
      text: string
    ) => void
    /** The attempt is over: its text is in the message, or will be written anew. */
    readonly close: (replyId: string, attempt: number) => Effect.Effect<void>
    /** Reads the other processes' logs while at least one reader wants it; returns how to stop. */
    readonly want: () => () => void
    /** The stored part of a running text, from its start; nothing of another attempt. */
    readonly stored: (userId: string, replyId: string, attempt: number) => Effect.Effect<string>
  }
>()("chat-backend/stream/StreamLog") {
  static readonly layer = Layer.effect(
    StreamLog,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const live = new LiveTexts()
      const writings = new Map<string, Writing>()
      const closed: Array<{ user_id: string; reply_id: string; attempt: number }> = []
      let dirty = new Set<string>()
      let number: number | undefined
      let tick = 0
      let dropped = 0

      const guarded = (name: string, work: Effect.Effect<unknown, unknown>) =>
        work.pipe(
          Effect.timeout("10 seconds"),
          Effect.catchCause((cause) => Effect.andThen(Effect.logWarning(`${name} failed`, cause), Effect.sleep("1 second")))
        )

      // --- the writer
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

      const tidy = Effect.gen(function* () {
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
        if (unstored.length > 0) {
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
        }
        const over = closed.splice(0, 1_000)
        if (over.length > 0) {
          yield* sql`
            delete from stream_segments s
            using json_to_recordset(${JSON.stringify(over)}::text::json) as c (user_id uuid, reply_id uuid, attempt int)
            where s.user_id = c.user_id and s.reply_id = c.reply_id and s.attempt <= c.attempt
          `
        }
        if (number !== undefined && dropped < tick) {
          const old = yield* sql<{ tick: number }>`
            delete from stream_log where worker_no = ${number} and written_at < now() - make_interval(secs => ${keptSeconds})
            returning tick::float8 as tick
          `
          for (const row of old) dropped = Math.max(dropped, row.tick)
        }
      })

      /** What processes that are gone have left: their logs, and the segments of replies that have ended. */
      const sweep = Effect.all([
        sql`delete from stream_log where written_at < now() - make_interval(secs => ${abandonedSeconds})`,
        sql`
          delete from stream_segments s where not exists (
            select from messages m where m.user_id = s.user_id and m.id = s.reply_id and m.status in ('held', 'queued', 'processing', 'waiting'))
        `
      ])

      // The first words after a silence go out at once; the pause comes after them.
      yield* writes.await.pipe(
        Effect.andThen(guarded("Writing the stream log", write)),
        Effect.andThen(Effect.sleep(writeEvery)),
        Effect.forever,
        Effect.forkScoped
      )
      yield* guarded("Storing segments", tidy).pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
      yield* guarded("Sweeping the stream logs", sweep).pipe(Effect.repeat(Schedule.spaced("30 seconds")), Effect.forkScoped)
      yield* Effect.addFinalizer(() =>
        Effect.andThen(guarded("Writing the stream log", write), guarded("Storing segments", tidy))
      )

      // --- the reader
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
          if (workerNo === number) continue
          for (const [replyId, attempt, offset, text] of JSON.parse(body) as Array<[string, number, number, string]>) {
            live.apply({ replyId, attempt, offset, text })
          }
        }
      })

      const readOn = Effect.gen(function* () {
        const began = yield* Clock.currentTimeMillis
        yield* guarded("Reading the stream logs", read)
        const took = (yield* Clock.currentTimeMillis) - began
        yield* Effect.sleep(Math.max(1, readEvery - took))
      })
      yield* reads.await.pipe(Effect.andThen(readOn), Effect.forever, Effect.forkScoped)

      return StreamLog.of({
        live,
        append: ({ attempt, replyId, userId }, text) => {
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
        close: (replyId, attempt) =>
          Effect.sync(() => {
            const writing = writings.get(replyId)
            // Its next attempt may have begun: elsewhere, or here.
            if (writing?.attempt !== attempt) return
            writings.delete(replyId)
            closed.push({ user_id: writing.userId, reply_id: replyId, attempt })
          }),
        want: () => {
          if (readers++ === 0) {
            seen = new Map()
            Effect.runSync(reads.open)
          }
          return () => {
            if (--readers === 0) Effect.runSync(reads.close)
          }
        },
        stored: Effect.fn("StreamLog.stored")(function* (userId: string, replyId: string, attempt: number) {
          const rows = yield* readSql<{ startOffset: number; body: string }>`
            select start_offset, body from stream_segments
            where user_id = ${userId} and reply_id = ${replyId} and attempt = ${attempt} order by start_offset
          `
          let text = ""
          for (const { body, startOffset } of rows) if (startOffset === text.length) text += body
          return text
        }, Effect.orDie)
      })
    })
  )
}
