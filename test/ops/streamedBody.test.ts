import { PassThrough } from "node:stream"
import { Effect, Exit, Stream } from "effect"
import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { BodyEnded, streamedBody } from "../../src/ops/StreamedBody.ts"
import { times } from "../support/times.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Begins to read a body in pieces of a thousand bytes. */
const begin = () => {
  const body = new PassThrough()
  const pieces: Array<number> = []
  let exit: Exit.Exit<void, BodyEnded> | undefined
  const reading = Stream.runForEach(streamedBody(body, 1_000), (piece) => Effect.sync(() => void pieces.push(piece.length)))
  Effect.runFork(reading).addObserver((ended) => (exit = ended))
  const reason = () => {
    const error = exit !== undefined && Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
    return error?._tag === "Some" ? error.value.reason : undefined
  }
  return { body, pieces, reason, hasEnded: () => exit !== undefined && Exit.isSuccess(exit) }
}
const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1_000)

describe("a streamed body", () => {
  it("comes in pieces of one size, but for the last one", async () => {
    const { body, hasEnded, pieces } = begin()
    for (const length of [1, 2_500, 999]) body.write(Buffer.alloc(length))
    await pass(1)
    assert.deepStrictEqual(pieces, [1_000, 1_000, 1_000])
    body.end(Buffer.alloc(7))
    await pass(1)
    assert.deepStrictEqual([pieces, hasEnded()], [[1_000, 1_000, 1_000, 507], true])
  })

  it("is given up after half a minute without a byte", async () => {
    const { body, reason } = begin()
    body.write(Buffer.alloc(1_500))
    await pass(29)
    assert.isUndefined(reason())
    await pass(2)
    assert.strictEqual(reason(), "slow")
  })

  it("is given up when it drips", async () => {
    const { body, pieces, reason } = begin()
    for (const _ of times(5, (n) => n)) {
      body.write(Buffer.alloc(10))
      await pass(10)
    }
    assert.isUndefined(reason())
    body.write(Buffer.alloc(10))
    await pass(11)
    assert.deepStrictEqual([reason(), pieces], ["slow", []])
  })

  it("fails when the client disconnects", async () => {
    const { body, reason } = begin()
    body.write(Buffer.alloc(10))
    await pass(1)
    body.destroy()
    await pass(1)
    assert.strictEqual(reason(), "cut")
  })

  it("is read no faster than it is dealt with", async () => {
    const body = new PassThrough()
    Effect.runFork(Stream.runForEach(streamedBody(body, 1_000), () => Effect.never))
    for (const _ of times(1_000, (n) => n)) body.write(Buffer.alloc(1_000))
    await pass(100)
    assert.isAbove(body.readableLength + body.writableLength, 900_000)
  })
})
