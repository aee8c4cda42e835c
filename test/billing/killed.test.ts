import { assert, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import {
  checkout,
  inbox,
  jobsOf,
  objects,
  startProcessIn,
  startWorld,
  status,
  tierOf,
  times,
  until,
  type World
} from "./World.ts"

type Process = Awaited<ReturnType<typeof startProcessIn>>

/** A backend of real processes; each test kills the processes that it starts. */
const inProcesses = async (run: (world: World, start: (own?: Record<string, string>) => Promise<Process>) => Promise<void>) => {
  const world = await startWorld({
    processes: true,
    // A process takes seconds to start.
    simulator: { webhookRetryMillis: times(60, () => 250) }
  })
  const started: Array<Process> = []
  const start = async (own: Record<string, string> = {}) => {
    const process = await startProcessIn(world, own)
    started.push(process)
    return process
  }
  try {
    await run(world, start)
  } finally {
    for (const process of started) await process.kill("SIGKILL")
    await world.stop()
  }
}

/** As if the workers had sent no heartbeat for 46 seconds. */
const declareDead = (world: World) => world.database.query("update worker_heartbeats set seen_at = now() - interval '46 seconds'")

const isPro = (person: Person) => until("Pro", 20, async () => (await tierOf(person)) === "pro")
const allProcessed = (world: World) =>
  until("every event processed", 30, async () => [...(await inbox(world)).values()].every(({ outcome }) => outcome !== "pending"))

describe("a killed process", () => {
  it("leaves the job of an acknowledged webhook to the next process", { timeout: 60_000 }, () =>
    inProcesses(async (world, start) => {
      const api = await start({ ROLE: "api" })
      const person = await world.someone()
      world.stripe.checkout({ session: await checkout(person), action: "pay" })
      assert.isTrue(await world.stripe.idle())
      assert.isTrue(world.stripe.deliveries().every(({ outcome }) => outcome === "delivered"))
      await api.kill("SIGKILL")
      const rows = [...(await inbox(world)).values()]
      assert.isNotEmpty(rows.filter(({ outcome }) => outcome === "pending"))
      // One job covers all events of a customer.
      assert.lengthOf(await jobsOf(world.database), 1)
      await start()
      await isPro(person)
      await world.settled()
      await allProcessed(world)
    })
  )

  it("leaves its running job to the next process", { timeout: 60_000 }, () =>
    inProcesses(async (world, start) => {
      const first = await start()
      const person = await world.someone()
      const session = await checkout(person)
      await world.settled()
      world.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 1 })
      world.stripe.checkout({ session, action: "pay" })
      await until("a job that hangs", 30, async () => (await jobsOf(world.database)).some(({ locked_by }) => locked_by !== null))
      await until("the call", 30, async () =>
        world.stripe.requests({ path: "/v1/subscriptions" }).some(({ fault }) => fault === "hang")
      )
      await first.kill("SIGKILL")
      world.stripe.clearFaults()
      assert.isNotEmpty((await jobsOf(world.database)).filter(({ locked_by }) => locked_by !== null))
      await declareDead(world)
      await start()
      await isPro(person)
      await until("no job is locked by the killed process", 30, async () =>
        (await jobsOf(world.database)).every(({ locked_by }) => locked_by === null)
      )
      await world.settled()
      await allProcessed(world)
      assert.strictEqual((await status(person)).status, "active")
    })
  )

  it("leaves a checkout that the next process opens, without a second session", { timeout: 60_000 }, () =>
    inProcesses(async (world, start) => {
      const first = await start()
      const person = await world.someone()
      world.stripe.addFault({ kind: "hang", afterEffect: true, method: "POST", path: "/v1/checkout/sessions", times: 1 })
      const lost = person.call("POST", "/subscribe/pro").catch(() => undefined)
      await until("the call", 30, async () => world.stripe.requests({ path: "/v1/checkout/sessions" }).length > 0)
      await first.kill("SIGKILL")
      await lost
      await start()
      // An attempt is taken over after forty seconds.
      await world.database.query("update checkout_attempts set claimed_at = claimed_at - interval '41 seconds'")
      const reply = await person.call("POST", "/subscribe/pro")
      assert.strictEqual(reply.status, 201)
      const sessions = objects(world, "checkout.session")
      assert.deepStrictEqual(
        sessions.map(({ id }) => id),
        [reply.body.sessionId]
      )
      world.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
      await isPro(person)
    })
  )

  it("gets the webhooks again that it did not acknowledge", { timeout: 60_000 }, () =>
    inProcesses(async (world, start) => {
      const first = await start()
      const person = await world.someone()
      const session = await checkout(person)
      await first.kill("SIGKILL")
      world.stripe.checkout({ session, action: "pay" })
      await start()
      await isPro(person)
      await world.settled()
      await allProcessed(world)
    })
  )
})
