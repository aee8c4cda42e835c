import type { Message, ReplyEvent } from "./contract.ts"
import { isEnd, readEvents } from "./events.ts"
import { Problem, Unreachable } from "./Problem.ts"
import { backoff, isTransient, sleep } from "./retry.ts"

export interface StreamOptions {
  readonly signal?: AbortSignal | undefined
  /** The position of an earlier stream of this reply, after which to go on. */
  readonly after?: string | undefined
  /** Connects with a ticket in the URL instead of a token in a header, so that a browser needs no preflight. */
  readonly ticket?: boolean | undefined
  /** The connection was lost; another attempt follows. */
  readonly onLost?: ((error: unknown) => void) | undefined
  /** Attempts in a row that fail before the stream fails. */
  readonly reconnects?: number | undefined
  /** Milliseconds without a byte, heartbeats included, after which the connection counts as lost. */
  readonly silence?: number | undefined
}

/** What a stream needs of the client. */
export interface StreamSource {
  /** Opens the stream after a position. */
  readonly open: (position: string | undefined, signal: AbortSignal) => Promise<Response>
  /** The stored reply. */
  readonly read: (signal: AbortSignal) => Promise<Message>
}

const defaults = { reconnects: 20, silence: 40_000 }

/** Says when a browser is online again. */
const page = typeof window === "undefined" ? undefined : window

const endOf = (message: Message): ReplyEvent | undefined => {
  const { status } = message
  return status === "completed" || status === "failed" || status === "cancelled" ? { type: status, ...message } : undefined
}

/**
 * The events of a reply, to its end: the last one is `completed`, `failed` or `cancelled` with the stored reply. When the
 * connection is lost, it is opened again after the last position, and the text goes on at the next character.
 *
 * The loop over it fails with a `Problem` when the server refuses the stream, with `Unreachable` when it stays away, and
 * with the signal's reason when it is aborted. Leaving the loop closes the connection; another loop over the same stream
 * goes on where the first one was left.
 */
export class ReplyStream implements AsyncIterable<ReplyEvent> {
  private readonly source: StreamSource
  private readonly options: StreamOptions
  private last: string | undefined
  private failures = 0
  private retryMillis = 1_000

  constructor(source: StreamSource, options: StreamOptions) {
    this.source = source
    this.options = options
    this.last = options.after
  }

  /** The position behind the last event with text, for the option `after` of another stream. */
  get position(): string | undefined {
    return this.last
  }

  /** Waits for the end, without the events, and returns the stored reply. */
  async finished(): Promise<Message> {
    for await (const event of this) {
      if (!isEnd(event)) continue
      const { type: _, ...message } = event
      return message
    }
    throw new Unreachable()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ReplyEvent, void> {
    const { signal } = this.options
    const closed = new AbortController()
    const either = signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal])
    try {
      for (;;) {
        let lost: unknown = new Unreachable()
        try {
          for await (const event of this.connection(either)) {
            yield event
            if (isEnd(event)) return
          }
        } catch (error) {
          lost = error
        }
        await this.beforeNext(lost)
      }
    } finally {
      closed.abort()
    }
  }

  /** The events of one connection. */
  private async *connection(signal: AbortSignal): AsyncGenerator<ReplyEvent, void> {
    const response = await this.source.open(this.last, signal)
    if (response.status === 204 || response.body === null) {
      // All the text was read, but the last event was not.
      const end = endOf(await this.source.read(signal))
      if (end !== undefined) yield end
      return
    }
    const { silence = defaults.silence } = this.options
    const reading = { silence, onRetry: (millis: number) => void (this.retryMillis = millis) }
    for await (const { event, position } of readEvents(response.body, reading)) {
      this.failures = 0
      this.last = position ?? this.last
      yield event
    }
  }

  /** Waits before the next attempt, or fails with what makes one useless. */
  private async beforeNext(lost: unknown): Promise<void> {
    const { onLost, reconnects = defaults.reconnects, signal } = this.options
    if (signal?.aborted === true) throw signal.reason
    // A broken body is a TypeError.
    const isLost = lost instanceof TypeError || isTransient(lost) || (lost instanceof Problem && lost.status >= 500)
    if (!isLost || this.failures >= reconnects) throw lost
    onLost?.(lost)
    const delay = backoff(this.failures, this.retryMillis)
    const retryAfter = lost instanceof Problem ? lost.retryAfter : undefined
    if (retryAfter === undefined) await sleep(delay, signal, page)
    else await sleep(retryAfter * 1_000 + delay, signal)
    this.failures++
  }
}
