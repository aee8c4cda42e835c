import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { AdaptiveLifo } from "../../src/server/AdaptiveLifo.ts"

describe("the waiting room", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }))
  afterEach(() => void vi.useRealTimers())

  const visitors = () => {
    const log: Array<string> = []
    const room = new AdaptiveLifo()
    const add = (name: string) =>
      room.add(
        () => log.push(`${name} in`),
        () => log.push(`${name} out`)
      )
    return { add, log, room }
  }

  it("lets in by turns what has waited for a moment, as many as there are places", () => {
    const { add, log, room } = visitors()
    for (const name of ["a", "b", "c"]) add(name)
    vi.advanceTimersByTime(400)
    room.letIn(2)
    room.letIn(0)
    assert.deepStrictEqual(log, ["a in", "b in"])
    room.letIn(5)
    assert.deepStrictEqual(log, ["a in", "b in", "c in"])
  })

  it("lets the newest in first when the oldest has waited for long, until the rest has not", () => {
    const { add, log, room } = visitors()
    add("a")
    vi.advanceTimersByTime(600)
    for (const name of ["b", "c", "d"]) add(name)
    room.letIn(2)
    assert.deepStrictEqual(log, ["d in", "c in"])
    vi.advanceTimersByTime(4_450)
    assert.deepStrictEqual(log, ["d in", "c in", "a out"])
    add("e")
    add("f")
    room.letIn(3)
    assert.deepStrictEqual(log, ["d in", "c in", "a out", "f in", "e in", "b in"])
  })

  it("refuses whoever has waited five seconds, and nobody before", () => {
    const { add, log, room } = visitors()
    add("a")
    vi.advanceTimersByTime(3_000)
    add("b")
    vi.advanceTimersByTime(1_900)
    assert.deepStrictEqual(log, [])
    vi.advanceTimersByTime(200)
    assert.deepStrictEqual(log, ["a out"])
    room.letIn(1)
    assert.deepStrictEqual(log, ["a out", "b in"])
    vi.advanceTimersByTime(10_000)
    assert.deepStrictEqual(log, ["a out", "b in"])
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("forgets whoever left: neither let in nor refused, and no place is spent on it", () => {
    const { add, log, room } = visitors()
    add("a")
    const leave = add("b")
    add("c")()
    leave()
    room.letIn(3)
    assert.deepStrictEqual(log, ["a in"])
    const leaveLater = add("d")
    leaveLater()
    vi.advanceTimersByTime(6_000)
    assert.deepStrictEqual(log, ["a in"])
  })

  it("takes two thousand, and refuses the next at once", () => {
    const { add, log, room } = visitors()
    for (let n = 0; n < 2_000; n++) add("x")
    assert.deepStrictEqual(log, [])
    add("late")
    assert.deepStrictEqual(log, ["late out"])
    room.letIn(1)
    add("y")
    assert.deepStrictEqual(log, ["late out", "x in"])
  })
})
