import { setTimeout as sleep } from "node:timers/promises"
import { Duration, Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { DenialCache } from "../../src/auth/DenialCache.ts"
import { type Allowance, Throttle } from "../../src/auth/Throttle.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { DatabaseLayer } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"

let database: TestDatabase
/** Like several processes: each has its own connections and its own memory. */
let throttles: ReadonlyArray<ReturnType<typeof open>>

const open = () => {
  const settings = environment({ APP_ENV: "test", MIGRATE: "off", DATABASE_URL: database.url })
  const runtime = ManagedRuntime.make(
    Throttle.layer.pipe(Layer.provide(DatabaseLayer), Layer.provide(AppConfig.layer), Layer.provide(settings))
  )
  const of = <A>(use: (throttle: Throttle["Service"]) => Effect.Effect<A>) => runtime.runPromise(Effect.flatMap(Throttle, use))
  return {
    of,
    takeAll: (allowances: ReadonlyArray<Allowance>) =>
      runtime.runPromise(Effect.flatMap(Throttle, (throttle) => throttle.takeAll(allowances))),
    close: () => runtime.dispose()
  }
}

beforeAll(async () => {
  database = await createDatabase()
  throttles = times(4, open)
})
afterAll(async () => {
  await Promise.all(throttles.map(({ close }) => close()))
  await database.drop()
})

/** Refills so slowly that a test does not notice. */
const allowance = (key: string, limit: number): Allowance => ({ key, rate: { limit, period: Duration.days(1) } })
/** Takes from these allowances in one of the processes; returns the keys that are used up. */
const ask = async (index: number, ...allowances: ReadonlyArray<Allowance>) => [
  ...(await (throttles[index % throttles.length] ?? assert.fail()).takeAll(allowances)).keys()
]
/** The list in an order that depends on the number. */
const turned = <A>(list: ReadonlyArray<A>, by: number) => {
  const start = by % list.length
  const all = [...list.slice(start), ...list.slice(0, start)]
  return by % 2 === 0 ? all : all.toReversed()
}

describe("Throttle.takeAll", () => {
  it("takes from all allowances or from none", async () => {
    const [few, many] = [allowance("together:few", 2), allowance("together:many", 5)]
    assert.deepStrictEqual([await ask(0, few, many), await ask(1, many, few)], [[], []])
    for (const index of times(10, (n) => n)) assert.deepStrictEqual(await ask(index, many, few), ["together:few"])
    for (const index of times(3, (n) => n)) assert.deepStrictEqual(await ask(index, many), [])
    assert.deepStrictEqual(await ask(3, many), ["together:many"])
    assert.deepStrictEqual((await ask(3, few, many)).sort(), ["together:few", "together:many"])
  })

  it("returns the seconds until one of ten a day is refilled", async () => {
    const ten = allowance("wait", 10)
    for (const index of times(10, (n) => n)) assert.deepStrictEqual(await ask(index, ten), [])
    const [wait = 0] = (await throttles[0]?.takeAll([allowance("wait:other", 1), ten]))?.values() ?? []
    assert.isAtMost(wait, 8_640)
    assert.isAbove(wait, 8_500)
  })

  it("is exact for parallel takes in any order, also while the rows do not exist yet", { timeout: 120_000 }, async () => {
    for (const round of times(5, (n) => n)) {
      const [a, b, c] = [allowance(`a:${round}`, 20), allowance(`b:${round}`, 30), allowance(`c:${round}`, 40)]
      // Locks taken in the order of the request would deadlock.
      const all = await Promise.all(times(240, (n) => ask(n, ...turned([a, b, c], n))))
      assert.strictEqual(all.filter((denied) => denied.length === 0).length, 20)
      for (const denied of all) assert.include([0, 1], denied.length)
      const pairs = await Promise.all(times(120, (n) => ask(n, ...turned([b, c], n))))
      assert.strictEqual(pairs.filter((denied) => denied.length === 0).length, 10)
      const rest = await Promise.all(times(60, (n) => ask(n, c)))
      assert.strictEqual(rest.filter((denied) => denied.length === 0).length, 10)
    }
  })
})

describe("a remembered denial", () => {
  const process = (index: number) => throttles[index] ?? assert.fail()
  const rate = { limit: 1, period: Duration.hours(1) }
  const refundable = { ...rate, refundable: true }
  const forget = (key: string) => database.query("delete from throttles where key = $1", [key])

  it("answers without a query until it is over, with a shrinking wait", async () => {
    const key = "remembered"
    const take = (index: number) => process(index).of((throttle) => throttle.take(key, rate))
    assert.strictEqual(await take(0), 0)
    const first = await take(0)
    assert.approximately(first, 3_600, 5)
    // The row is gone, so a query would allow the take.
    await forget(key)
    await sleep(2_100)
    const later = await take(0)
    assert.isBelow(later, first - 1)
    assert.isAbove(later, 3_500)
    assert.strictEqual(await process(0).of((throttle) => throttle.peek(key, rate)), later)
    assert.strictEqual(await process(0).of((throttle) => throttle.cachedWait(key)), later)
    assert.strictEqual(await process(1).of((throttle) => throttle.cachedWait(key)), 0)
    assert.strictEqual(await take(1), 0)
  })

  it("ends when its time is over", async () => {
    const short = { limit: 1, period: Duration.seconds(2) }
    const take = () => process(0).of((throttle) => throttle.take("over", short))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await sleep(3_100)
    assert.strictEqual(await take(), 0)
  })

  it("is also remembered by peek", async () => {
    const key = "asked"
    await process(1).of((throttle) => throttle.take(key, rate))
    assert.isAbove(await process(0).of((throttle) => throttle.peek(key, rate)), 3_500)
    await forget(key)
    assert.isAbove(await process(0).of((throttle) => throttle.take(key, rate)), 3_500)
  })

  it("is checked again after a second when another process can refund it", async () => {
    const key = "refundable"
    const take = () => process(0).of((throttle) => throttle.take(key, refundable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(1).of((throttle) => throttle.reset(key))
    assert.isAbove(await take(), 0)
    await sleep(1_200)
    assert.strictEqual(await take(), 0)
  })

  it("ends at once when this process refunds it", async () => {
    const key = "refunded"
    const take = () => process(0).of((throttle) => throttle.take(key, refundable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(0).of((throttle) => throttle.refund(key, refundable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(0).of((throttle) => throttle.reset(key))
    assert.strictEqual(await take(), 0)
  })

  it("evicts the least recently used denial at 20,000", () => {
    const denials = new DenialCache()
    for (const n of times(20_000, (index) => index)) denials.remember(`${n}`, 60, 0, false)
    assert.strictEqual(denials.secondsLeft("0", 1_000), 59)
    denials.remember("one more", 60, 0, false)
    assert.deepStrictEqual(
      ["0", "1", "one more"].map((key) => denials.secondsLeft(key, 0)),
      [60, 0, 60]
    )
  })
})
