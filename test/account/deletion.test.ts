import pg from "pg"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import {
  customerOf,
  newSubscriber,
  objects,
  retryJobsNow,
  startBackendProcess,
  startTestBackend,
  stripeSubscriptions,
  type TestBackend
} from "../billing/TestBackend.ts"
import type { Person, Reply } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { newUsers } from "../support/Users.ts"
import { until } from "../support/wait.ts"

const remove = (person: Person) => person.call("DELETE", "/user/me")
const exists = async (backend: TestBackend, { userId }: Person) =>
  (await backend.database.query("select from users where id = $1", [userId])).length === 1

/** The states of the customer's subscriptions at Stripe, and whether its charges were refunded. */
const atStripe = (backend: TestBackend, customer: string) => ({
  subscriptions: stripeSubscriptions(backend, customer).map(({ status }) => status),
  refunded: objects(backend, "charge")
    .filter((charge) => charge.customer === customer)
    .map(({ refunded }) => refunded)
})
const endedWithoutRefund = { subscriptions: ["canceled"], refunded: [false] }
const untouched = { subscriptions: ["active"], refunded: [false] }

describe("deleting at once", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend({ backends: [{}, { ROLE: "api" }] })
  })
  afterEach(() => backend.stripe.clearFaults())
  afterAll(() => backend.stop())

  it("answers no 500 to forty users who send, delete rooms and delete the account", { timeout: 120_000 }, async () => {
    const people = await newUsers(backend.urls[0] ?? "", backend.database, 40)
    const answers = await Promise.all(
      people.map(async (person, index) => {
        const rooms = await Promise.all(times(4, () => person.room()))
        const sent = rooms.flatMap((room, n) =>
          times(2, (again) => person.ask(room, "[[say yes]] now", { key: `${n} ${again}` }))
        )
        const made = times(2, (n) => person.call("POST", "/chatroom", { title: "late" }, { "idempotency-key": `room ${n}` }))
        const deleted = rooms.slice(0, 2).map((room) => person.call("DELETE", `/chatroom/${room}`))
        const removed = index % 2 === 0 ? [remove(person), remove(person)] : [remove(person)]
        return Promise.all([...sent, ...made, ...deleted, ...removed])
      })
    )
    const failed = answers.flat().filter(({ status }) => status >= 500 && status !== 503)
    assert.deepStrictEqual(
      failed.map(({ text }) => text),
      []
    )
    // A busy machine may have refused a deletion (503); a repetition is answered.
    for (const person of people) {
      await until("the deletion", async () => !(await exists(backend, person)) || (await remove(person)).status === 204)
    }
  })

  const deadlocks = async () => {
    const [row] = await backend.database.query<{ deadlocks: number }>(
      "select deadlocks::int from pg_stat_database where datname = current_database()"
    )
    return row?.deadlocks ?? 0
  }

  /**
   * Locks a row that a deletion takes last, and then the rooms. Of the two, Postgres gives up the deletion, which must
   * then be repeated.
   */
  const lockAgainstTheOrder = async (last: string, person: Person, deletion: () => Promise<Reply>) => {
    const deadlocksBefore = await deadlocks()
    const rival = new pg.Client({ connectionString: backend.database.url })
    await rival.connect()
    try {
      await rival.query("begin; set local deadlock_timeout = '60s'")
      await rival.query(`select from ${last} for update`, [person.userId])
      const deleting = deletion()
      await until("the deletion waits", async () => {
        const waiting = await backend.database.query(
          "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return waiting.length > 0
      })
      await rival.query("select from chatrooms where user_id = $1 order by id for update", [person.userId])
      await rival.query("rollback")
      const { status, text } = await deleting
      await until("the deadlock is counted", async () => (await deadlocks()) > deadlocksBefore)
      assert.strictEqual(status, 204, text)
    } finally {
      await rival.end()
    }
  }

  it("repeats the deletion of an account that lost a deadlock, and ends the subscription once", { timeout: 60_000 }, async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    await person.room()
    await lockAgainstTheOrder("sessions where user_id = $1", person, () => remove(person))
    assert.isFalse(await exists(backend, person))
    await backend.waitUntilIdle()
    assert.deepStrictEqual(atStripe(backend, customer), endedWithoutRefund)
  })

  it("repeats the deletion of a room that lost a deadlock", { timeout: 60_000 }, async () => {
    const person = await backend.newUser()
    const room = await person.room()
    await person.ask(room, "[[say Yes.]]", { wait: 20 })
    await lockAgainstTheOrder("messages where user_id = $1", person, () => person.call("DELETE", `/chatroom/${room}`))
    assert.strictEqual((await person.call("GET", `/chatroom/${room}`)).status, 404)
  })

  it("leaves the subscription alone when the deletion fails", { timeout: 60_000 }, async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    await backend.database.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
      create trigger refuse before delete on users for each row execute function refuse()`)
    try {
      assert.strictEqual((await remove(person)).status, 500)
    } finally {
      await backend.database.query("drop function refuse cascade")
    }
    await backend.waitUntilIdle()
    assert.deepStrictEqual(atStripe(backend, customer), untouched)
    assert.strictEqual((await person.call("GET", "/user/me")).body.tier, "pro")
  })

  it("ends the subscription later when Stripe fails after the deletion", { timeout: 60_000 }, async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    backend.stripe.addFault({ kind: "status", status: 500, method: "DELETE", path: "/v1/subscriptions/", times: 1_000 })
    const deleted = await remove(person)
    assert.strictEqual(deleted.status, 204, deleted.text)
    assert.deepStrictEqual(atStripe(backend, customer), untouched)
    backend.stripe.clearFaults()
    await until("the subscription ends", async () => {
      await retryJobsNow(backend)
      return atStripe(backend, customer).subscriptions[0] === "canceled"
    })
    await backend.waitUntilIdle()
    assert.deepStrictEqual(atStripe(backend, customer), endedWithoutRefund)
  })
})

describe("a process that is killed between the deletion and the end of the subscription", () => {
  it("leaves the end to the next process", { timeout: 90_000 }, async () => {
    const backend = await startTestBackend({ processes: true, simulator: { webhookRetryMillis: times(60, () => 250) } })
    const first = await startBackendProcess(backend)
    let next: typeof first | undefined
    try {
      const person = await newSubscriber(backend)
      const customer = await customerOf(backend, person)
      backend.stripe.addFault({ kind: "hang", method: "DELETE", path: "/v1/subscriptions/", times: 1_000 })
      const lost = remove(person).catch(() => undefined)
      await until("the call to Stripe", async () => backend.stripe.requests({ method: "DELETE" }).length > 0)
      await first.kill("SIGKILL")
      await lost
      assert.isFalse(await exists(backend, person))
      assert.deepStrictEqual(atStripe(backend, customer), untouched)
      backend.stripe.clearFaults()
      await backend.database.query("update worker_heartbeats set seen_at = now() - interval '46 seconds'")
      next = await startBackendProcess(backend)
      await until("the subscription ends", async () => atStripe(backend, customer).subscriptions[0] === "canceled")
      assert.deepStrictEqual(atStripe(backend, customer), endedWithoutRefund)
    } finally {
      await Promise.all([first.kill("SIGKILL"), next?.kill("SIGKILL")])
      await backend.stop()
    }
  })
})
