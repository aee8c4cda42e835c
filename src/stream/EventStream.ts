import { Readable } from "node:stream"

export const comment = (text: string): string => `: ${text}\n\n`

/** Milliseconds after which a client whose connection ended comes back. */
export const retry = (milliseconds: number): string => `retry: ${milliseconds}\n\n`

const heartbeatMillis = 15_000
/** A reader that takes nothing for this long is let go. */
const stalledMillis = 30_000

/**
 * A response body that is pulled: `produce` is asked for what is new whenever something may be and the client
 * has room, so that a slow reader costs a position and not a queue. Plain Node and not a Stream of effects,
 * because a thousand of these wake up twenty times a second.
 */
export class EventStream extends Readable {
  private hasRoom = false
  /** The end was pushed: nothing may follow it, though a slow reader may not have taken what came before. */
  private over = false
  private stalledSince: number | undefined
  private readonly timer: NodeJS.Timeout
  private lastPing = performance.now()
  private readonly produce: () => { readonly text: string; readonly ended: boolean }
  private readonly onClose: () => void

  constructor(produce: () => { readonly text: string; readonly ended: boolean }, onClose: () => void) {
    super({ highWaterMark: 16_384, encoding: "utf8" })
    this.produce = produce
    this.onClose = onClose
    this.timer = setInterval(() => this.watch(), 1_000)
    this.timer.unref()
  }

  /** Something may be new. */
  readonly wake = (): void => {
    if (!this.hasRoom || this.over || this.destroyed) return
    const { ended, text } = this.produce()
    if (text !== "") this.write(text)
    if (ended) this.finish()
  }

  /** Says good-bye: the client is to come back, here or to another process. */
  readonly dismiss = (): void => {
    if (this.over || this.destroyed) return
    this.push(retry(200))
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
    this.over = true
    this.stalledSince ??= performance.now()
    this.push(null)
  }

  private watch(): void {
    const now = performance.now()
    if (this.stalledSince !== undefined && now - this.stalledSince > stalledMillis) this.destroy()
    else if (this.hasRoom && !this.over && now - this.lastPing >= heartbeatMillis) {
      this.lastPing = now
      this.write(comment("ping"))
    }
  }
}
