import { setTimeout as sleep } from "node:timers/promises"
import { Stripe } from "stripe"
import { beforeEach } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import type { Kind, OfKind } from "../../simulators/stripe/State.ts"
import {
  startStripeSimulator,
  type StripeSimulator,
  type StripeSimulatorOptions
} from "../../simulators/stripe/StripeSimulator.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import { freePort } from "../../dev/freePort.ts"
import { type Person, type Reply } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"

export const secret = "whsec_of_the_tests"

export type StripeEvent = OfKind<"event">

/** Backends on one database, with the simulators of Stripe and Gemini. */
export interface TestBackend {
  readonly database: TestDatabase
  readonly stripe: StripeSimulator
  /** The SDK on the simulator, for what an operator can do in Stripe's dashboard. */
  readonly sdk: Stripe
  /** The base URL of every backend. */
  readonly urls: ReadonlyArray<string>
  /** The settings of a backend with this database and these simulators. */
  readonly settings: { readonly DATABASE_URL: string; readonly [name: string]: string }
  readonly newUser: () => Promise<Person>
  /** Waits until no webhook and no billing job is pending. */
  readonly waitUntilIdle: () => Promise<void>
  /** Runs a task of the queue and waits for all jobs that it enqueues. */
  readonly runTask: (task: "stripe_reconcile" | "stripe_reconcile_all") => Promise<void>
  readonly stop: () => Promise<void>
}

export interface TestBackendOptions {
  readonly simulator?: StripeSimulatorOptions
  /** The settings of each backend; the first one gets the webhooks. */
  readonly backends?: ReadonlyArray<Readonly<Record<string, string>>>
  /** Start no backend in this process: the test starts real processes. */
  readonly processes?: boolean
  /** The base URL of Stripe's API; by default that of the simulator. */
  readonly apiBase?: (simulator: StripeSimulator) => Promise<string>
}

export const startTestBackend = async ({
  apiBase,
  backends = [{}],
  processes = false,
  simulator = {}
}: TestBackendOptions = {}): Promise<TestBackend> => {
  const database = await createDatabase()
  const gemini: GeminiSimulator = await startGeminiSimulator({ chunkMillis: 1 })
  const port = await freePort()
  const stripe = await startStripeSimulator({
    webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret }],
    webhookRetryMillis: [50, 100, 200, 400, 800, 1600],
    webhookConcurrency: 4,
    ...simulator
  })
  const settings = {
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: secret,
    STRIPE_PRO_PRICE_ID: stripe.priceId,
    STRIPE_API_BASE: apiBase === undefined ? stripe.url : await apiBase(stripe),
    LOG_LEVEL: "fatal"
  }
  const running: Array<{ readonly url: string; readonly stop: () => Promise<unknown> }> = []
  if (!processes) {
    for (const [index, own] of backends.entries()) {
      running.push(await startBackend({ ...settings, ...(index === 0 ? { PORT: String(port) } : {}), ...own }))
    }
  }
  const url = `http://127.0.0.1:${port}`
  const waitUntilIdle = async () => {
    await stripe.idle()
    await until("no billing job", async () => (await jobsOf(database)).length === 0, { seconds: 30 })
  }
  return {
    database,
    stripe,
    sdk: new Stripe("sk_test_simulated", { host: stripe.host, port: stripe.port, protocol: "http", telemetry: false }),
    urls: processes ? [url] : running.map(({ url }) => url),
    settings: { ...settings, PORT: String(port) },
    newUser: () => newUser(url, database),
    waitUntilIdle,
    runTask: async (task) => {
      await database.query("select graphile_worker.add_job($1)", [task])
      await waitUntilIdle()
    },
    stop: async () => {
      await stripe.stop()
      await Promise.all(running.map((backend) => backend.stop()))
      await gemini.stop()
      await database.drop()
    }
  }
}

/** Starts the production entry as a process with the settings of this backend. */
export const startBackendProcess = async (backend: TestBackend, own: Readonly<Record<string, string>> = {}) => {
  const process = await startProcess({ ...backend.settings, LOG_LEVEL: "info", ...own })
  await process.started()
  return process
}

type Job = {
  readonly id: string
  readonly task_identifier: string
  readonly key: string | null
  readonly attempts: number
  readonly max_attempts: number
  readonly locked_by: string | null
  readonly last_error: string | null
}
/** The billing jobs that wait, run or will be retried. */
export const jobsOf = (database: TestDatabase) =>
  database.query<Job>(
    "select * from graphile_worker.jobs where task_identifier like 'stripe%' and not (locked_by is null and key is null and attempts >= max_attempts)"
  )

/** Sets Stripe's clock to this many days from now; this alone triggers nothing. */
export const setStripeClock = ({ stripe }: TestBackend, days: number) => {
  const { state, url } = stripe.snapshot()
  stripe.restore({ url, state: { ...state, offsetMillis: days * 86_400_000 } })
}

/**
 * The reconciliation runs every ten minutes of the clock in every backend, so no test that counts calls may start right
 * before.
 */
beforeEach(async () => {
  const period = 600_000
  const since = Date.now() % period
  if (since > period - 20_000) await sleep(period - since + 3_000)
  else if (since < 3_000) await sleep(3_000 - since)
})

/** Makes jobs that wait for a retry due now. */
export const retryJobsNow = (backend: TestBackend) =>
  backend.database.query("update graphile_worker._private_jobs set run_at = now() where locked_at is null")

export const status = async (person: Person): Promise<Reply["body"]> => {
  const reply = await person.call("GET", "/subscription/status")
  if (reply.status !== 200) throw new Error(`no status: ${reply.status} ${reply.text}`)
  return reply.body
}

export const tierOf = async (person: Person): Promise<string> => (await status(person)).tier

export const subscribe = (person: Person, key?: string) =>
  person.call("POST", "/subscribe/pro", undefined, key === undefined ? {} : { "idempotency-key": key })

/** Opens a checkout and returns its session. */
export const openCheckout = async (person: Person): Promise<string> => {
  const reply = await subscribe(person)
  if (reply.status !== 201 && reply.status !== 200) throw new Error(`no checkout: ${reply.status} ${reply.text}`)
  return reply.body.sessionId
}

/** A person with a paid subscription that the backend knows. */
export const newSubscriber = async (backend: TestBackend): Promise<Person> => {
  const person = await backend.newUser()
  backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
  await backend.waitUntilIdle()
  return person
}

export const customerOf = async (backend: TestBackend, person: Person): Promise<string> => {
  const [row] = await backend.database.query<{ customer_id: string }>(
    "select customer_id from billing_customers where user_id = $1",
    [person.userId]
  )
  return row?.customer_id ?? ""
}

/** The stored subscriptions of a person, oldest first. */
export const storedSubscriptions = (backend: TestBackend, person: Person) =>
  backend.database.query<{
    id: string
    status: string
    customer_id: string
    cancel_at: Date | null
    cancel_at_period_end: boolean
    fetched_at: Date
  }>("select * from subscriptions where user_id = $1 order by created_at, id", [person.userId])

/** The subscriptions of a customer at Stripe, oldest first. */
export const stripeSubscriptions = (backend: TestBackend, customer: string) =>
  objects(backend, "subscription").filter((subscription) => subscription.customer === customer)

export const objects = <K extends Kind>(backend: TestBackend, kind: K): Array<OfKind<K>> =>
  Object.values(backend.stripe.snapshot().state.objects[kind] ?? {})

/** Every row that billing stores about a person, with its version. */
export const billingRows = (backend: TestBackend, person: Person) =>
  backend.database.query(
    `select s.*, s.xmin::text, u.pro_until, u.xmin::text as user_version, c.synced_at from users u
     left join subscriptions s on s.user_id = u.id left join billing_customers c on c.user_id = u.id where u.id = $1`,
    [person.userId]
  )

export type StoredEvent = {
  readonly id: string
  readonly type: string
  readonly customer_id: string | null
  readonly outcome: string
}
/** The inbox of events, by id. */
export const storedEvents = async (backend: TestBackend): Promise<ReadonlyMap<string, StoredEvent>> => {
  const rows = await backend.database.query<StoredEvent>("select * from webhook_events")
  return new Map(rows.map((row) => [row.id, row]))
}

/** The newest event of a type, about the customer if one is given. */
export const newestEvent = (backend: TestBackend, type: string, customer?: string): StripeEvent => {
  const found = objects(backend, "event").findLast(
    (event) =>
      event.type === type &&
      (customer === undefined || ("customer" in event.data.object && event.data.object.customer === customer))
  )
  if (found === undefined) throw new Error(`no ${type}`)
  return found
}

export const askQuestions = async (person: Person, count: number): Promise<Array<Reply>> => {
  const replies: Array<Reply> = []
  for (let index = 0; index < count; index++) {
    const room = await person.room()
    replies.push(await person.ask(room, `[[say yes]] question ${index}`, { wait: 10 }))
  }
  return replies
}
