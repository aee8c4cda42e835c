import { Duration, Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { DenialCache } from "../../src/auth/DenialCache.ts"
import { type Allowance, Throttle } from "../../src/auth/Throttle.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { DatabaseLayer } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { sleep, times } from "./People.ts"

let database: TestDatabase
/** As of several processes: each has connections and a memory of its own. */
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

/** So slow to fill again that a test sees none of it. */
const allowance = (key: string, limit: number): Allowance => ({ key, rate: { limit, period: Duration.days(1) } })
/** The keys that were used up, of one who asks. */
const ask = async (index: number, ...allowances: ReadonlyArray<Allowance>) => [
  ...(await (throttles[index % throttles.length] ?? assert.fail()).takeAll(allowances)).keys()
]
/** The same in another order for each who asks. */
const turned = <A>(list: ReadonlyArray<A>, by: number) => {
  const start = by % list.length
  const all = [...list.slice(start), ...list.slice(0, start)]
  return by % 2 === 0 ? all : all.toReversed()
}

describe("several allowances", () => {
  it("are taken together, or not at all", async () => {
    const [few, many] = [allowance("together:few", 2), allowance("together:many", 5)]
    assert.deepStrictEqual([await ask(0, few, many), await ask(1, many, few)], [[], []])
    for (const index of times(10, (n) => n)) assert.deepStrictEqual(await ask(index, many, few), ["together:few"])
    for (const index of times(3, (n) => n)) assert.deepStrictEqual(await ask(index, many), [])
    assert.deepStrictEqual(await ask(3, many), ["together:many"])
    assert.deepStrictEqual((await ask(3, few, many)).sort(), ["together:few", "together:many"])
  })

  it("say how long to wait: until one of the day's ten is there again", async () => {
    const ten = allowance("wait", 10)
    for (const index of times(10, (n) => n)) assert.deepStrictEqual(await ask(index, ten), [])
    const [wait = 0] = (await throttles[0]?.takeAll([allowance("wait:other", 1), ten]))?.values() ?? []
    assert.isAtMost(wait, 8_640)
    assert.isAbove(wait, 8_500)
  })

  it("are exact for many who ask at once, in every order, from the first row on", { timeout: 120_000 }, async () => {
    for (const round of times(5, (n) => n)) {
      const [a, b, c] = [allowance(`a:${round}`, 20), allowance(`b:${round}`, 30), allowance(`c:${round}`, 40)]
      // Whoever locked rows in the order of asking would soon wait in a circle.
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

describe("a denial", () => {
  const process = (index: number) => throttles[index] ?? assert.fail()
  const rate = { limit: 1, period: Duration.hours(1) }
  const revocable = { ...rate, refundable: true }
  const forget = (key: string) => database.query("delete from throttles where key = $1", [key])

  it("is remembered until it is over: nobody is asked, and the wait grows shorter", async () => {
    const key = "remembered"
    const take = (index: number) => process(index).of((throttle) => throttle.take(key, rate))
    assert.strictEqual(await take(0), 0)
    const first = await take(0)
    assert.approximately(first, 3_600, 5)
    // Had anybody been asked, there would be nothing to deny.
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

  it("is over when its time is", async () => {
    const short = { limit: 1, period: Duration.seconds(2) }
    const take = () => process(0).of((throttle) => throttle.take("over", short))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await sleep(3_100)
    assert.strictEqual(await take(), 0)
  })

  it("is learned by asking, too", async () => {
    const key = "asked"
    await process(1).of((throttle) => throttle.take(key, rate))
    assert.isAbove(await process(0).of((throttle) => throttle.peek(key, rate)), 3_500)
    await forget(key)
    assert.isAbove(await process(0).of((throttle) => throttle.take(key, rate)), 3_500)
  })

  it("that another process can take back is asked for again after a second", async () => {
    const key = "revocable"
    const take = () => process(0).of((throttle) => throttle.take(key, revocable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(1).of((throttle) => throttle.reset(key))
    assert.isAbove(await take(), 0)
    await sleep(1_200)
    assert.strictEqual(await take(), 0)
  })

  it("that this process takes back is over at once", async () => {
    const key = "given back"
    const take = () => process(0).of((throttle) => throttle.take(key, revocable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(0).of((throttle) => throttle.refund(key, revocable))
    assert.strictEqual(await take(), 0)
    assert.isAbove(await take(), 0)
    await process(0).of((throttle) => throttle.reset(key))
    assert.strictEqual(await take(), 0)
  })

  it("is one of twenty thousand that are remembered; the one nobody asked for longest is forgotten first", () => {
    const denials = new DenialCache()
    for (const n of times(20_000, (index) => index)) denials.remember(`${n}`, 60, 0, false)
    assert.strictEqual(denials.left("0", 1_000), 59)
    denials.remember("one more", 60, 0, false)
    assert.deepStrictEqual([denials.left("0", 0), denials.left("1", 0), denials.left("one more", 0)], [60, 0, 60])
  })
})
