import { assert, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import {
  openCheckout,
  storedEvents,
  jobsOf,
  objects,
  startBackendProcess,
  startTestBackend,
  status,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

type Process = Awaited<ReturnType<typeof startBackendProcess>>

/** A backend of real processes; each test kills the processes that it starts. */
const withProcesses = async (
  run: (backend: TestBackend, start: (own?: Record<string, string>) => Promise<Process>) => Promise<void>
) => {
  const backend = await startTestBackend({
    processes: true,
    // A process takes seconds to start.
    simulator: { webhookRetryMillis: times(60, () => 250) }
  })
  const started: Array<Process> = []
  const start = async (own: Record<string, string> = {}) => {
    const process = await startBackendProcess(backend, own)
    started.push(process)
    return process
  }
  try {
    await run(backend, start)
  } finally {
    for (const process of started) await process.kill("SIGKILL")
    await backend.stop()
  }
}

/** As if the workers had sent no heartbeat for 46 seconds. */
const declareDead = (backend: TestBackend) =>
  backend.database.query("update worker_heartbeats set seen_at = now() - interval '46 seconds'")

const isPro = (person: Person) => until("Pro", async () => (await tierOf(person)) === "pro")
const allProcessed = (backend: TestBackend) =>
  until(
    "every event processed",
    async () => [...(await storedEvents(backend)).values()].every(({ outcome }) => outcome !== "pending"),
    { seconds: 30 }
  )

describe("a killed process", () => {
  it("leaves the job of an acknowledged webhook to the next process", { timeout: 60_000 }, () =>
    withProcesses(async (backend, start) => {
      const api = await start({ ROLE: "api" })
      const person = await backend.newUser()
      backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
      assert.isTrue(await backend.stripe.idle())
      assert.isTrue(backend.stripe.deliveries().every(({ outcome }) => outcome === "delivered"))
      await api.kill("SIGKILL")
      const rows = [...(await storedEvents(backend)).values()]
      assert.isNotEmpty(rows.filter(({ outcome }) => outcome === "pending"))
      // One job covers all events of a customer.
      assert.lengthOf(await jobsOf(backend.database), 1)
      await start()
      await isPro(person)
      await backend.waitUntilIdle()
      await allProcessed(backend)
    })
  )

  it("leaves its running job to the next process", { timeout: 60_000 }, () =>
    withProcesses(async (backend, start) => {
      const first = await start()
      const person = await backend.newUser()
      const session = await openCheckout(person)
      await backend.waitUntilIdle()
      backend.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 1 })
      backend.stripe.checkout({ session, action: "pay" })
      await until("a job that hangs", async () => (await jobsOf(backend.database)).some(({ locked_by }) => locked_by !== null), {
        seconds: 30
      })
      await until(
        "the call",
        async () => backend.stripe.requests({ path: "/v1/subscriptions" }).some(({ fault }) => fault === "hang"),
        { seconds: 30 }
      )
      await first.kill("SIGKILL")
      backend.stripe.clearFaults()
      assert.isNotEmpty((await jobsOf(backend.database)).filter(({ locked_by }) => locked_by !== null))
      await declareDead(backend)
      await start()
      await isPro(person)
      await until(
        "no job is locked by the killed process",
        async () => (await jobsOf(backend.database)).every(({ locked_by }) => locked_by === null),
        { seconds: 30 }
      )
      await backend.waitUntilIdle()
      await allProcessed(backend)
      assert.strictEqual((await status(person)).status, "active")
    })
  )

  it("leaves a checkout that the next process opens, without a second session", { timeout: 60_000 }, () =>
    withProcesses(async (backend, start) => {
      const first = await start()
      const person = await backend.newUser()
      backend.stripe.addFault({ kind: "hang", afterEffect: true, method: "POST", path: "/v1/checkout/sessions", times: 1 })
      const lost = person.call("POST", "/subscribe/pro").catch(() => undefined)
      await until("the call", async () => backend.stripe.requests({ path: "/v1/checkout/sessions" }).length > 0, { seconds: 30 })
      await first.kill("SIGKILL")
      await lost
      await start()
      // An attempt is taken over after forty seconds.
      await backend.database.query("update checkout_attempts set claimed_at = claimed_at - interval '41 seconds'")
      const reply = await person.call("POST", "/subscribe/pro")
      assert.strictEqual(reply.status, 201)
      const sessions = objects(backend, "checkout.session")
      assert.deepStrictEqual(
        sessions.map(({ id }) => id),
        [reply.body.sessionId]
      )
      backend.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
      await isPro(person)
    })
  )

  it("gets the webhooks again that it did not acknowledge", { timeout: 60_000 }, () =>
    withProcesses(async (backend, start) => {
      const first = await start()
      const person = await backend.newUser()
      const session = await openCheckout(person)
      await first.kill("SIGKILL")
      backend.stripe.checkout({ session, action: "pay" })
      await start()
      await isPro(person)
      await backend.waitUntilIdle()
      await allProcessed(backend)
    })
  )
})
