import { Clock, Effect } from "effect"
import { iso } from "../api/Schemas.ts"
import type { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import { hasEnded, type Message } from "../api/chat/Message.ts"
import type { MessageState } from "../chat/Messages.ts"
import { EventStream } from "./EventStream.ts"
import type { StoredTexts } from "./DeltaLog.ts"
import { type LiveTexts, thoughtsKey } from "./LiveText.ts"
import type { Feed, StreamView } from "./ReplyFeed.ts"

/** Milliseconds without an event after which the reply's row is read again, in case its notification was lost. */
const silenceMillis = 5_000
const recheckMillis = 2_000
/** Milliseconds between two attempts to fetch missing text; segments are stored once a second. */
const healMillis = 300

/** Where a reader gets its reply from. */
export interface ReplySource {
  readonly readState: Effect.Effect<MessageState, ChatroomNotFound | MessageNotFound>
  /** The stored parts of an attempt's text and thoughts, from their start. */
  readonly readStored: (attempt: number) => Effect.Effect<StoredTexts>
  readonly live: LiveTexts
  /** Starts the deltas of other processes, until the returned function is called. */
  readonly subscribe: () => () => void
  /** Whether notifications of changes arrive. */
  readonly isNotified: () => boolean
  readonly run: (effect: Effect.Effect<void>) => void
}

/**
 * Keeps one client's stream up to date: with text as it arrives, with the reply's state whenever `refresh` is called,
 * and with stored text where the arriving text has a gap.
 */
export class ReplyReader {
  readonly stream: EventStream
  private readonly source: ReplySource
  private readonly feed: Feed
  private state: MessageState
  /** One query at a time; a refresh that is asked for meanwhile follows it. */
  private isReading = false
  private isStale = false
  private lastEventAt = performance.now()
  private readonly unsubscribe: () => void
  private readonly unfollow: ReadonlyArray<() => void>
  private readonly timer: NodeJS.Timeout
  private readonly lingerMillis: number

  constructor(source: ReplySource, state: MessageState, view: StreamView, onClose: (reader: ReplyReader) => void) {
    this.source = source
    this.state = state
    this.feed = view.feed
    this.lingerMillis = view.lingerMillis ?? 0
    this.stream = new EventStream(
      () => this.produce(),
      () => {
        this.close()
        onClose(this)
      },
      view.dismissal
    )
    this.unsubscribe = source.subscribe()
    const { id } = state.message
    this.unfollow = [id, thoughtsKey(id)].map((key) => source.live.follow(key, this.stream.wake))
    this.timer = setInterval(() => this.recheck(), recheckMillis)
    this.timer.unref()
    if (view.opening !== "") this.stream.push(view.opening)
    if (hasEnded(state.message)) return
    // Text written before `follow` is in the segments; a change since the row was read was announced before this reader listened.
    this.heal()
    this.refresh()
  }

  /** Ends the stream soon, because the process drains. */
  drain(): void {
    if (this.lingerMillis === 0) return this.stream.dismiss()
    setTimeout(this.stream.dismiss, this.lingerMillis).unref()
  }

  /** Reads the reply's row again. */
  refresh(): void {
    const { readState } = this.source
    this.read(
      readState.pipe(
        Effect.tap((state) => Effect.sync(() => this.update(state))),
        Effect.catchTag(["MessageNotFound", "ChatroomNotFound"], () =>
          Effect.map(Clock.currentTimeMillis, (now) => this.endDeleted(now))
        )
      )
    )
  }

  /** What this process knows of the reply's running text and thoughts. */
  private known() {
    const { live } = this.source
    const { id } = this.state.message
    return { text: live.get(id), thoughts: live.get(thoughtsKey(id)) }
  }

  /** Fetches the stored parts of the text and the thoughts. */
  private heal(): void {
    const { live, readStored } = this.source
    const replyId = this.state.message.id
    this.read(
      Effect.gen({ self: this }, function* () {
        const { text: known, thoughts: thought } = this.known()
        const attempt = Math.max(known?.attempt ?? 0, thought?.attempt ?? 0, this.state.message.attempt)
        const { text, thoughts } = yield* readStored(attempt)
        if (thoughts !== "") live.apply({ replyId: thoughtsKey(replyId), attempt, offset: 0, text: thoughts })
        if (text !== "") live.apply({ replyId, attempt, offset: 0, text })
        yield* Effect.sleep(healMillis)
        this.stream.wake()
      })
    )
  }

  private read(query: Effect.Effect<unknown, unknown>): void {
    if (this.isReading) return void (this.isStale = true)
    this.isReading = true
    const done = Effect.sync(() => {
      this.isReading = false
      if (!this.isStale || this.stream.destroyed) return
      this.isStale = false
      this.refresh()
    })
    this.source.run(
      query.pipe(
        Effect.catchCause((cause) => Effect.logWarning("A stream could not read its reply", cause)),
        Effect.ensuring(done),
        Effect.asVoid
      )
    )
  }

  private produce() {
    const { text, thoughts } = this.known()
    const progress = this.feed.next(text, this.state, thoughts)
    if (progress.text !== "") this.lastEventAt = performance.now()
    if (progress.gap && !this.isReading) this.heal()
    return progress
  }

  private update(state: MessageState): void {
    this.state = state
    this.stream.wake()
  }

  /** The reply was deleted with its room, which cancels it. Its row is gone, so its end is made from what is known here. */
  private endDeleted(now: number): void {
    const { message } = this.state
    if (hasEnded(message)) return this.stream.wake()
    const { text, thoughts } = this.known()
    const known = text?.start === 0 ? { attempt: text.attempt, content: text.text } : {}
    const thought = thoughts?.start === 0 && thoughts.text !== "" ? { thoughts: thoughts.text } : {}
    const cancelled: Message = { ...message, ...known, ...thought, status: "cancelled", completedAt: iso(new Date(now)) }
    this.update({ ...this.state, message: cancelled, retryAt: null })
  }

  private recheck(): void {
    if (!this.source.isNotified() || performance.now() - this.lastEventAt > silenceMillis) this.refresh()
  }

  private close(): void {
    clearInterval(this.timer)
    const { message } = this.state
    if (hasEnded(message)) for (const key of [message.id, thoughtsKey(message.id)]) this.source.live.forget(key, Infinity)
    for (const unfollow of this.unfollow) unfollow()
    this.unsubscribe()
  }
}
