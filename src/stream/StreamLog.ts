import { Context, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { ReadSql } from "../database/Database.ts"
import { guarded } from "./Guarded.ts"
import { LiveTexts } from "./LiveText.ts"
import { makeLogReader } from "./LogReader.ts"
import { type Attempt, makeLogWriter } from "./LogWriter.ts"

/** Seconds after which another process removes what a dead one left. */
const abandonedSeconds = 60

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
    readonly append: (attempt: Attempt, text: string) => void
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
      const { append, close, number } = yield* makeLogWriter(live)
      const { want } = yield* makeLogReader(live, number)

      /** What processes that are gone have left: their logs, and the segments of replies that have ended. */
      const sweep = Effect.all([
        sql`delete from stream_log where written_at < now() - make_interval(secs => ${abandonedSeconds})`,
        sql`
          delete from stream_segments s where not exists (
            select from messages m where m.user_id = s.user_id and m.id = s.reply_id and m.completed_at is null)
        `
      ])

      yield* guarded("Sweeping the stream logs", sweep).pipe(Effect.repeat(Schedule.spaced("30 seconds")), Effect.forkScoped)

      const stored: StreamLog["Service"]["stored"] = Effect.fn("StreamLog.stored")(function* (userId, replyId, attempt) {
        const rows = yield* readSql<{ startOffset: number; body: string }>`
          select start_offset, body from stream_segments
          where user_id = ${userId} and reply_id = ${replyId} and attempt = ${attempt} order by start_offset
        `
        let text = ""
        for (const { body, startOffset } of rows) if (startOffset === text.length) text += body
        return text
      }, Effect.orDie)

      return StreamLog.of({ live, append, close, want, stored })
    })
  )
}
