import { LRUCache } from "lru-cache"

/** A piece of a reply's text: what an attempt wrote from `offset` on (UTF-16 units). */
export interface TextDelta {
  readonly replyId: string
  readonly attempt: number
  readonly offset: number
  readonly text: string
}

/** The text of the newest known attempt, from `start` on. */
export interface LiveText {
  attempt: number
  start: number
  text: string
}

/** Tails that are kept of replies which no client of this process follows, for a client that joins later. */
const maximumTails = 5_000
const tailMillis = 10_000
/** UTF-16 units to which a tail is cut when it is longer than twice that. */
const tailUnits = 8_192

const end = (live: LiveText) => live.start + live.text.length

/** Adds a delta: drops one of an older attempt, skips text that is known, and starts over behind a gap. */
export const extend = (live: LiveText, { attempt, offset, text }: Omit<TextDelta, "replyId">): void => {
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

/** The running texts that this process knows: the whole text of followed replies, the tail of others. */
export class LiveTexts {
  private readonly followed = new Map<string, { live: LiveText; followers: Set<() => void> }>()
  private readonly tails = new LRUCache<string, LiveText>({ max: maximumTails, ttl: tailMillis, updateAgeOnGet: true })

  get(replyId: string): LiveText | undefined {
    return this.followed.get(replyId)?.live ?? this.tails.get(replyId)
  }

  apply(delta: TextDelta): void {
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

  /** The number of followed replies. */
  get size(): number {
    return this.followed.size
  }
}
