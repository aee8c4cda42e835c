import { Readable } from "node:stream"

const comment = (text: string): string => `: ${text}\n\n`

/** Tells the client how long to wait before it reconnects when its connection has ended. */
export const retry = (milliseconds: number): string => `retry: ${milliseconds}\n\n`

/** Has a client of the API's own events reconnect, to this process or another. */
export const reconnectSoon = (): string => retry(200)

const heartbeatMillis = 15_000
/** A connection is closed when its client has read nothing for this long. */
const stalledMillis = 30_000

/**
 * A response body that pulls its text: `produce` is called when something may be new and the client has room, so a
 * slow client costs a position instead of a queue. Plain Node instead of a Stream of effects, because a thousand of
 * these wake up twenty times a second.
 */
export class EventStream extends Readable {
  private hasRoom = false
  /** The end was pushed. Nothing may be pushed after it, even if a slow client has yet to read what came before. */
  private isOver = false
  private stalledSince: number | undefined
  private readonly timer: NodeJS.Timeout
  private lastPing = performance.now()
  private readonly produce: () => { readonly text: string; readonly ended: boolean }
  private readonly onClose: () => void
  private readonly dismissal: () => string

  /** `dismissal` makes what a client gets last when the stream ends before the reply. */
  constructor(
    produce: () => { readonly text: string; readonly ended: boolean },
    onClose: () => void,
    dismissal: () => string = reconnectSoon
  ) {
    super({ highWaterMark: 16_384, encoding: "utf8" })
    this.produce = produce
    this.onClose = onClose
    this.dismissal = dismissal
    this.timer = setInterval(() => this.watch(), 1_000)
    this.timer.unref()
  }

  /** To be called when `produce` may return something new. */
  readonly wake = (): void => {
    if (!this.hasRoom || this.isOver || this.destroyed) return
    const { ended, text } = this.produce()
    if (text !== "") this.write(text)
    if (ended) this.finish()
  }

  /** Ends the stream before the reply. */
  readonly dismiss = (): void => {
    if (this.isOver || this.destroyed) return
    const last = this.dismissal()
    if (last !== "") this.push(last)
    this.finish()
  }

  override _read(): void {
    this.hasRoom = true
    this.stalledSince = undefined
    this.wake()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.timer)
    this.onClose()
    callback(error)
  }

  private write(text: string): void {
    this.hasRoom = this.push(text)
    if (!this.hasRoom) this.stalledSince = performance.now()
  }

  private finish(): void {
    this.isOver = true
    this.stalledSince ??= performance.now()
    this.push(null)
  }

  private watch(): void {
    const now = performance.now()
    if (this.stalledSince !== undefined && now - this.stalledSince > stalledMillis) this.destroy()
    else if (this.hasRoom && !this.isOver && now - this.lastPing >= heartbeatMillis) {
      this.lastPing = now
      this.write(comment("ping"))
    }
  }
}
