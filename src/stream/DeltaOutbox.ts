import type { TextDelta } from "./LiveText.ts"

/** An attempt at a reply. */
export interface ReplyAttempt {
  readonly userId: string
  readonly replyId: string
  readonly attempt: number
}

/** A piece of an attempt's text, to be stored for clients that join in the middle. */
export interface Segment extends ReplyAttempt {
  readonly start: number
  readonly text: string
  /** Where the segment before it starts, which must still be stored; null for the first. */
  readonly previousStart: number | null
}

interface Writing {
  readonly userId: string
  readonly attempt: number
  text: string
  /** How much of the text is in the delta log, and how much in segments. */
  logged: number
  stored: number
  /** Where the newest stored segment starts. */
  lastStart: number | null
}

/** UTF-16 units after which a row takes no other delta: with every character escaped, a row stays below the driver's 16 MiB. */
const rowUnits = 1_048_576

/** What the attempts of this process have written and is not yet in the delta log or in segments. No I/O. */
export class DeltaOutbox {
  private readonly writings = new Map<string, Writing>()
  private readonly ended: Array<ReplyAttempt> = []
  private readonly unlogged = new Set<string>()

  /** Returns the delta; undefined when a newer attempt at the reply writes here. */
  append({ attempt, replyId, userId }: ReplyAttempt, text: string): TextDelta | undefined {
    let writing = this.writings.get(replyId)
    // A process that was suspended may claim its own reply again; both attempts run here then, and the newer counts.
    if (writing !== undefined && writing.attempt > attempt) return undefined
    if (writing === undefined || writing.attempt < attempt) {
      writing = { userId, attempt, text: "", logged: 0, stored: 0, lastStart: null }
      this.writings.set(replyId, writing)
    }
    const offset = writing.text.length
    writing.text += text
    this.unlogged.add(replyId)
    return { replyId, attempt, offset, text }
  }

  /** Forgets the attempt's text and notes that its segments can go; ignores an attempt that a newer one has replaced. */
  close(replyId: string, attempt: number): void {
    const writing = this.writings.get(replyId)
    if (writing?.attempt !== attempt) return
    this.writings.delete(replyId)
    this.ended.push({ userId: writing.userId, replyId, attempt })
  }

  /** The text since the last call, one delta for each reply, as many as a row holds. It is not returned again. */
  takeDeltas(): Array<TextDelta> {
    const deltas: Array<TextDelta> = []
    let units = 0
    for (const replyId of this.unlogged) {
      if (units >= rowUnits) break
      this.unlogged.delete(replyId)
      const writing = this.writings.get(replyId)
      if (writing === undefined) continue
      const { attempt, logged, text } = writing
      const delta = text.slice(logged)
      deltas.push({ replyId, attempt, offset: logged, text: delta })
      writing.logged = text.length
      units += delta.length
    }
    return deltas
  }

  /** Whether a row could not take all deltas. */
  hasDeltas(): boolean {
    return this.unlogged.size > 0
  }

  /** The text that is not in segments, one segment for each reply. It is returned again until `markStored`. */
  unstored(): Array<Segment> {
    const segments: Array<Segment> = []
    for (const [replyId, { attempt, lastStart, stored, text, userId }] of this.writings) {
      if (stored === text.length) continue
      segments.push({ userId, replyId, attempt, start: stored, text: text.slice(stored), previousStart: lastStart })
    }
    return segments
  }

  /** Notes which of these segments the database has kept. The others lacked the segment before them. */
  markStored(segments: ReadonlyArray<Segment>, keptReplyIds: ReadonlySet<string>): void {
    for (const { attempt, replyId, start, text } of segments) {
      const writing = this.writings.get(replyId)
      if (writing?.attempt !== attempt) continue
      // After a crash of Postgres the unlogged table is empty: the text is stored again from its start.
      const isKept = keptReplyIds.has(replyId)
      writing.lastStart = isKept ? start : null
      writing.stored = isKept ? start + text.length : 0
    }
  }

  /** Ended attempts whose segments are to be deleted, at most so many. They are not returned again. */
  takeEnded(maximum: number): Array<ReplyAttempt> {
    return this.ended.splice(0, maximum)
  }
}
