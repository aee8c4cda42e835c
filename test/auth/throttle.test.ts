import { Duration, Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Allowance, Throttle } from "../../src/auth/Throttle.ts"
import { AppConfig } from "../../src/Config.ts"
import { DatabaseLayer } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "./People.ts"

let database: TestDatabase
/** As of several processes: each has connections and a memory of its own. */
let throttles: ReadonlyArray<ReturnType<typeof open>>

const open = () => {
  const settings = environment({ APP_ENV: "test", MIGRATE: "off", DATABASE_URL: database.url })
  const runtime = ManagedRuntime.make(
    Throttle.layer.pipe(Layer.provide(DatabaseLayer), Layer.provide(AppConfig.layer), Layer.provide(settings))
  )
  return {
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
