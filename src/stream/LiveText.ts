import { LRUCache } from "lru-cache"

/** The key of a reply's thoughts where its text has the reply's id. */
export const thoughtsKey = (replyId: string): string => `${replyId}/thoughts`

/** A piece of a reply's text or thoughts: what an attempt wrote from `offset` on (UTF-16 units). */
export interface TextDelta {
  /** The reply's id, or the key of its thoughts. */
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
/** UTF-16 units of all tails, and of all followed texts before they are cut as tails are: 32 and 128 MB at most. */
const maximumTailUnits = 16_000_000
const maximumFollowedUnits = 64_000_000

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

const cut = (live: LiveText): void => {
  if (live.text.length <= 2 * tailUnits) return
  live.start += live.text.length - tailUnits
  live.text = live.text.slice(-tailUnits)
}

interface Followed {
  readonly live: LiveText
  readonly followers: Set<() => void>
  /** The newest attempt that has ended: its text is not kept when the last follower leaves. */
  endedAttempt: number
}

/** The running texts that this process knows: the whole text of followed replies, the tail of others. */
export class LiveTexts {
  private readonly followed = new Map<string, Followed>()
  private readonly tails: LRUCache<string, LiveText>
  private followedUnits = 0
  private readonly maximumFollowedUnits: number

  constructor(limit = maximumFollowedUnits, ttl = tailMillis) {
    this.maximumFollowedUnits = limit
    this.tails = new LRUCache({
      max: maximumTails,
      maxSize: maximumTailUnits,
      sizeCalculation: ({ text }) => text.length + 1,
      ttl,
      updateAgeOnGet: true
    })
  }

  get(replyId: string): LiveText | undefined {
    return this.followed.get(replyId)?.live ?? this.tails.get(replyId)
  }

  apply(delta: TextDelta): void {
    const entry = this.followed.get(delta.replyId)
    if (entry !== undefined) return this.applyFollowed(entry, delta)
    const { attempt, offset, text } = delta
    // A copy, because the cache counts the size of a value when it is set.
    const tail = { ...(this.tails.get(delta.replyId) ?? { attempt, start: offset, text }) }
    extend(tail, delta)
    cut(tail)
    this.tails.set(delta.replyId, tail)
  }

  private applyFollowed(entry: Followed, delta: TextDelta): void {
    const { followers, live } = entry
    const counted = (change: () => void) => {
      const before = live.text.length
      change()
      this.followedUnits += live.text.length - before
    }
    counted(() => extend(live, delta))
    for (const wake of followers) wake()
    // A follower that has not read so far gets the missing part from the stored segments.
    if (this.followedUnits > this.maximumFollowedUnits && followers.size > 0) counted(() => cut(live))
  }

  /** Calls `wake` after every change, until the returned function is called. */
  follow(replyId: string, wake: () => void): () => void {
    const entry = this.followed.get(replyId) ?? this.startFollowing(replyId)
    entry.followers.add(wake)
    return () => {
      entry.followers.delete(wake)
      if (entry.followers.size > 0 || this.followed.get(replyId) !== entry) return
      this.followed.delete(replyId)
      this.followedUnits -= entry.live.text.length
      if (entry.live.attempt <= entry.endedAttempt) return
      cut(entry.live)
      this.tails.set(replyId, entry.live)
    }
  }

  private startFollowing(replyId: string): Followed {
    const live = this.tails.get(replyId) ?? { attempt: 0, start: 0, text: "" }
    this.tails.delete(replyId)
    const entry = { live, followers: new Set<() => void>(), endedAttempt: 0 }
    this.followed.set(replyId, entry)
    this.followedUnits += live.text.length
    return entry
  }

  /** Drops the text of an attempt that has ended, at once or when its last follower leaves. */
  forget(replyId: string, attempt: number): void {
    const entry = this.followed.get(replyId)
    if (entry !== undefined) entry.endedAttempt = Math.max(entry.endedAttempt, attempt)
    else if ((this.tails.peek(replyId)?.attempt ?? Infinity) <= attempt) this.tails.delete(replyId)
  }

  /** Drops the tails that are too old; the cache does not do so by itself. */
  sweep(): void {
    this.tails.purgeStale()
  }

  /** The number of followed replies. */
  get size(): number {
    return this.followed.size
  }

  /** UTF-16 units that are held. */
  get units(): number {
    return this.followedUnits + this.tails.calculatedSize - this.tails.size
  }
}
