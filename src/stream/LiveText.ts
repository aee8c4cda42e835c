import { LRUCache } from "lru-cache"

/** A piece of a reply's text: what an attempt wrote from `offset` on (UTF-16 units). */
export interface Delta {
  readonly replyId: string
  readonly attempt: number
  readonly offset: number
  readonly text: string
}

/** What is known of the newest attempt's text: everything from `start` on. */
export interface LiveText {
  attempt: number
  start: number
  text: string
}

/** Replies whose text is remembered though nobody here reads them: should somebody join, the tail is here. */
const maximumTails = 5_000
const tailMillis = 10_000
/** Units a remembered tail keeps when it grows past twice that. */
const tailUnits = 8_192

const end = (live: LiveText) => live.start + live.text.length

/** Adds a piece. One of an older attempt is dropped, what is known already is skipped, and a gap starts anew. */
export const extend = (live: LiveText, { attempt, offset, text }: Omit<Delta, "replyId">): void => {
  if (attempt < live.attempt) return
  if (attempt > live.attempt || offset > end(live)) {
    live.attempt = attempt
    live.start = offset
    live.text = text
  } else if (offset < live.start && offset + text.length >= live.start) {
    live.text = text.slice(0, live.start - offset) + live.text
    live.start = offset
    if (offset + text.length > end(live)) live.text = text
  } else if (offset + text.length > end(live)) {
    live.text += text.slice(end(live) - offset)
  }
}

/** The running texts this process knows of: those that are followed whole, of the others the tail. */
export class LiveTexts {
  private readonly followed = new Map<string, { live: LiveText; followers: Set<() => void> }>()
  private readonly tails = new LRUCache<string, LiveText>({ max: maximumTails, ttl: tailMillis, updateAgeOnGet: true })

  get(replyId: string): LiveText | undefined {
    return this.followed.get(replyId)?.live ?? this.tails.get(replyId)
  }

  apply(delta: Delta): void {
    const entry = this.followed.get(delta.replyId)
    if (entry !== undefined) {
      extend(entry.live, delta)
      for (const wake of entry.followers) wake()
      return
    }
    const tail = this.tails.get(delta.replyId)
    if (tail === undefined) {
      this.tails.set(delta.replyId, { attempt: delta.attempt, start: delta.offset, text: delta.text })
      return
    }
    extend(tail, delta)
    if (tail.text.length > 2 * tailUnits) {
      tail.start += tail.text.length - tailUnits
      tail.text = tail.text.slice(-tailUnits)
    }
  }

  /** Calls `wake` after every change, until the returned function is called. */
  follow(replyId: string, wake: () => void): () => void {
    const entry = this.followed.get(replyId) ?? {
      live: this.tails.get(replyId) ?? { attempt: 0, start: 0, text: "" },
      followers: new Set()
    }
    this.followed.set(replyId, entry)
    entry.followers.add(wake)
    return () => {
      entry.followers.delete(wake)
      if (entry.followers.size > 0 || this.followed.get(replyId) !== entry) return
      this.followed.delete(replyId)
      if (entry.live.attempt > 0) this.tails.set(replyId, entry.live)
    }
  }

  get size(): number {
    return this.followed.size
  }
}
