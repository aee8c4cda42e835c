import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { AdaptiveLifo } from "../../src/server/AdaptiveLifo.ts"

describe("AdaptiveLifo", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }))
  afterEach(() => void vi.useRealTimers())

  const makeQueue = () => {
    const log: Array<string> = []
    const queue = new AdaptiveLifo()
    const add = (name: string) =>
      queue.add(
        () => log.push(`${name} in`),
        () => log.push(`${name} out`)
      )
    return { add, log, queue }
  }

  it("admits in order of arrival while waits are short, one request a slot", () => {
    const { add, log, queue } = makeQueue()
    for (const name of ["a", "b", "c"]) add(name)
    vi.advanceTimersByTime(400)
    queue.admit(2)
    queue.admit(0)
    assert.deepStrictEqual(log, ["a in", "b in"])
    queue.admit(5)
    assert.deepStrictEqual(log, ["a in", "b in", "c in"])
  })

  it("admits the newest first while the oldest has waited 500 ms or more", () => {
    const { add, log, queue } = makeQueue()
    add("a")
    vi.advanceTimersByTime(600)
    for (const name of ["b", "c", "d"]) add(name)
    queue.admit(2)
    assert.deepStrictEqual(log, ["d in", "c in"])
    vi.advanceTimersByTime(4_450)
    assert.deepStrictEqual(log, ["d in", "c in", "a out"])
    add("e")
    add("f")
    queue.admit(3)
    assert.deepStrictEqual(log, ["d in", "c in", "a out", "f in", "e in", "b in"])
  })

  it("refuses a request after five seconds, not before", () => {
    const { add, log, queue } = makeQueue()
    add("a")
    vi.advanceTimersByTime(3_000)
    add("b")
    vi.advanceTimersByTime(1_900)
    assert.deepStrictEqual(log, [])
    vi.advanceTimersByTime(200)
    assert.deepStrictEqual(log, ["a out"])
    queue.admit(1)
    assert.deepStrictEqual(log, ["a out", "b in"])
    vi.advanceTimersByTime(10_000)
    assert.deepStrictEqual(log, ["a out", "b in"])
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("neither admits nor refuses a request that left, and spends no slot on it", () => {
    const { add, log, queue } = makeQueue()
    add("a")
    const leave = add("b")
    add("c")()
    leave()
    queue.admit(3)
    assert.deepStrictEqual(log, ["a in"])
    const leaveLater = add("d")
    leaveLater()
    vi.advanceTimersByTime(6_000)
    assert.deepStrictEqual(log, ["a in"])
  })

  it("holds 2,000 requests and refuses the next immediately", () => {
    const { add, log, queue } = makeQueue()
    for (let n = 0; n < 2_000; n++) add("x")
    assert.deepStrictEqual(log, [])
    add("late")
    assert.deepStrictEqual(log, ["late out"])
    queue.admit(1)
    add("y")
    assert.deepStrictEqual(log, ["late out", "x in"])
  })
})
