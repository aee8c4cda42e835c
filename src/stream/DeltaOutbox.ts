import { type TextDelta, thoughtsKey } from "./LiveText.ts"

/** An attempt at a reply. */
export interface ReplyAttempt {
  readonly userId: string
  readonly replyId: string
  readonly attempt: number
}

/** An attempt that writes text, or thinks. */
export interface WrittenBy extends ReplyAttempt {
  readonly isThought?: boolean | undefined
}

/** A piece of an attempt's text or thoughts, to be stored for clients that join in the middle. */
export interface Segment extends WrittenBy {
  readonly start: number
  readonly text: string
  /** Where the segment before it starts, which must still be stored; null for the first. */
  readonly previousStart: number | null
}

interface Writing extends WrittenBy {
  text: string
  /** How much of the text is in the delta log, and how much in segments. */
  logged: number
  stored: number
  /** Where the newest stored segment starts. */
  lastStart: number | null
}

/** UTF-16 units after which a row takes no other delta: with every character escaped, a row stays below the driver's 16 MiB. */
const rowUnits = 1_048_576

/** Under which the outbox knows what a segment belongs to. */
export const segmentKey = ({ isThought, replyId }: Pick<Segment, "replyId" | "isThought">): string =>
  isThought === true ? thoughtsKey(replyId) : replyId

/** What the attempts of this process have written and is not yet in the delta log or in segments. No I/O. */
export class DeltaOutbox {
  private readonly writings = new Map<string, Writing>()
  private readonly ended: Array<ReplyAttempt> = []
  private readonly unlogged = new Set<string>()

  /** Returns the delta; undefined when a newer attempt at the reply writes here. */
  append(by: WrittenBy, text: string): TextDelta | undefined {
    const { attempt } = by
    const key = segmentKey(by)
    let writing = this.writings.get(key)
    // A process that was suspended may claim its own reply again; both attempts run here then, and the newer counts.
    if (writing !== undefined && writing.attempt > attempt) return undefined
    if (writing === undefined || writing.attempt < attempt) {
      writing = { ...by, text: "", logged: 0, stored: 0, lastStart: null }
      this.writings.set(key, writing)
    }
    const offset = writing.text.length
    writing.text += text
    this.unlogged.add(key)
    return { replyId: key, attempt, offset, text }
  }

  /** Forgets the attempt's text and thoughts, and notes that its segments can go; ignores an attempt that a newer one has replaced. */
  close(replyId: string, attempt: number): void {
    const keys = [replyId, thoughtsKey(replyId)].filter((key) => this.writings.get(key)?.attempt === attempt)
    const userId = keys.map((key) => this.writings.get(key)?.userId).find((id) => id !== undefined)
    if (userId === undefined) return
    for (const key of keys) this.writings.delete(key)
    this.ended.push({ userId, replyId, attempt })
  }

  /** The text since the last call, one delta for each reply, as many as a row holds. It is not returned again. */
  takeDeltas(): Array<TextDelta> {
    const deltas: Array<TextDelta> = []
    let units = 0
    for (const key of this.unlogged) {
      if (units >= rowUnits) break
      this.unlogged.delete(key)
      const writing = this.writings.get(key)
      if (writing === undefined) continue
      const { attempt, logged, text } = writing
      const delta = text.slice(logged)
      deltas.push({ replyId: key, attempt, offset: logged, text: delta })
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
    for (const { attempt, isThought, lastStart, replyId, stored, text, userId } of this.writings.values()) {
      if (stored === text.length) continue
      const start = { start: stored, text: text.slice(stored), previousStart: lastStart }
      segments.push({ userId, replyId, attempt, ...start, ...(isThought === true ? { isThought } : {}) })
    }
    return segments
  }

  /** Notes which of these segments the database has kept, by their keys. The others lacked the segment before them. */
  markStored(segments: ReadonlyArray<Segment>, kept: ReadonlySet<string>): void {
    for (const segment of segments) {
      const { attempt, start, text } = segment
      const writing = this.writings.get(segmentKey(segment))
      if (writing?.attempt !== attempt) continue
      // After a crash of Postgres the unlogged table is empty: the text is stored again from its start.
      const isKept = kept.has(segmentKey(segment))
      writing.lastStart = isKept ? start : null
      writing.stored = isKept ? start + text.length : 0
    }
  }

  /** Ended attempts whose segments are to be deleted, at most so many. They are not returned again. */
  takeEnded(maximum: number): Array<ReplyAttempt> {
    return this.ended.splice(0, maximum)
  }
}
