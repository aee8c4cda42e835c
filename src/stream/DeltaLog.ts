import { Context, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { ReadSql } from "../database/Database.ts"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { observedGauge } from "../ops/Metrics.ts"
import type { WrittenBy } from "./DeltaOutbox.ts"
import { makeDeltaReader } from "./DeltaReader.ts"
import { makeDeltaWriter, thoughtOffset } from "./DeltaWriter.ts"
import { LiveTexts } from "./LiveText.ts"

/** Seconds after which any process deletes rows that their own process has left. */
const abandonedSeconds = 60

/** The parts of an attempt's text and thoughts that are in segments. */
export interface StoredTexts {
  readonly text: string
  readonly thoughts: string
}

/**
 * Brings running texts from the workers to every API process, through Postgres alone. A process with running attempts
 * writes one row a tick, with the new text of all of them; a process with readers reads all new rows with one query a
 * tick. Within a process the text is handed over in memory. Rows may be lost: the finished reply is the truth.
 */
export class DeltaLog extends Context.Service<
  DeltaLog,
  {
    readonly live: LiveTexts
    /** Appends what an attempt has just written or thought. Not an effect, because it runs for every piece of every answer. */
    readonly append: (attempt: WrittenBy, text: string) => void
    /** Ends an attempt: its text is in the message, or the next attempt starts from the beginning. */
    readonly close: (replyId: string, attempt: number) => Effect.Effect<void>
    /** Reads the rows of other processes, until the returned function is called. All subscribers share the reads. */
    readonly subscribe: () => () => void
    /** The stored parts of an attempt's text and thoughts, from their start. */
    readonly stored: (userId: string, replyId: string, attempt: number) => Effect.Effect<StoredTexts>
  }
>()("chat-backend/stream/DeltaLog") {
  static readonly layer = Layer.effect(
    DeltaLog,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const live = new LiveTexts()
      const { append, close, number } = yield* makeDeltaWriter(live)
      const { subscribe } = yield* makeDeltaReader(live, number)

      /** Deletes what dead processes have left: their rows, and the segments of replies that have ended. */
      const sweeps = [
        sql`delete from stream_log where written_at < now() - make_interval(secs => ${abandonedSeconds})`,
        sql`
          delete from stream_segments s where not exists (
            select from messages m where m.user_id = s.user_id and m.id = s.reply_id and m.completed_at is null)
        `
      ]

      yield* observedGauge("chat_stream_text_units", "UTF-16 units of running replies in memory.", () => live.units)
      yield* Effect.sync(() => live.sweep()).pipe(Effect.repeat(Schedule.spaced("5 seconds")), Effect.forkScoped)
      // Each by itself: one that fails does not stop the other.
      yield* Effect.forEach(sweeps, (sweep) => backgroundStep("Sweeping the delta log failed", sweep)).pipe(
        Effect.repeat(Schedule.spaced("30 seconds")),
        Effect.forkScoped
      )

      const stored: DeltaLog["Service"]["stored"] = Effect.fn("DeltaLog.stored")(function* (userId, replyId, attempt) {
        const rows = yield* readSql<{ startOffset: number; body: string }>`
          select start_offset, body from stream_segments
          where user_id = ${userId} and reply_id = ${replyId} and attempt = ${attempt} order by start_offset
        `
        let text = ""
        for (const { body, startOffset } of rows) if (startOffset === text.length) text += body
        let thoughts = ""
        for (const { body, startOffset } of rows.toReversed())
          if (startOffset === thoughtOffset(thoughts.length)) thoughts += body
        return { text, thoughts }
      }, Effect.orDie)

      return DeltaLog.of({ live, append, close, subscribe, stored })
    })
  )
}
