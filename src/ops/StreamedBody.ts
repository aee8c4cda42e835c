import type { Readable } from "node:stream"
import { Data, Effect, Option, Stream } from "effect"

/** The client has disconnected, or was too slow. */
export class BodyEnded extends Data.TaggedError("BodyEnded")<{ readonly reason: "cut" | "slow" }> {}

/** Milliseconds without a byte, and in which a piece must have come. */
const idleMillis = 30_000
const pieceMillis = 60_000

/** Reads a request's body in pieces of one size; only the last one may be shorter. */
class BodyReader {
  private readonly incoming: Readable
  private readonly size: number
  /** What came with a piece and belongs to the next ones. */
  private rest: Uint8Array = Buffer.alloc(0)

  constructor(incoming: Readable, size: number) {
    this.incoming = incoming
    this.size = size
  }

  /** The next piece; empty at the end. The times count while the client is waited for, and not while a piece is stored. */
  readonly next = Effect.callback<Uint8Array, BodyEnded>((resume) => {
    const { incoming, size } = this
    const piece = Buffer.allocUnsafe(size)
    let length = 0
    const add = (bytes: Uint8Array) => {
      const taken = bytes.subarray(0, size - length)
      piece.set(taken, length)
      length += taken.length
      this.rest = bytes.subarray(taken.length)
    }
    const stop = () => {
      clearTimeout(idle)
      clearTimeout(slow)
      for (const [event, listener] of Object.entries(listeners)) incoming.off(event, listener)
    }
    const end = (result: Effect.Effect<Uint8Array, BodyEnded>) => {
      stop()
      resume(result)
    }
    const fail = (reason: BodyEnded["reason"]) => end(Effect.fail(new BodyEnded({ reason })))
    const read = () => {
      if (this.rest.length > 0) add(this.rest)
      while (length < size) {
        const bytes: Buffer | null = incoming.read()
        if (bytes === null) break
        idle.refresh()
        add(bytes)
      }
      if (length === size || incoming.readableEnded) end(Effect.succeed(piece.subarray(0, length)))
      else if (incoming.destroyed) fail("cut")
    }
    const idle = setTimeout(() => fail("slow"), idleMillis)
    const slow = setTimeout(() => fail("slow"), pieceMillis)
    const listeners = { readable: read, end: read, close: read, error: () => fail("cut") }
    for (const [event, listener] of Object.entries(listeners)) incoming.on(event, listener)
    read()
    return Effect.sync(stop)
  })
}

/**
 * The body in pieces of `size` bytes, each read when the one before has been dealt with, so that a client is never faster
 * than its body is stored. The platform discards what is not read, or closes the connection.
 */
export const streamedBody = (incoming: Readable, size: number): Stream.Stream<Uint8Array, BodyEnded> =>
  Stream.suspend(() => {
    const reader = new BodyReader(incoming, size)
    return Stream.paginate(undefined, () =>
      Effect.map(
        reader.next,
        (piece) => [piece.length === 0 ? [] : [piece], piece.length < size ? Option.none() : Option.some(undefined)] as const
      )
    )
  })
