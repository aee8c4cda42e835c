import { Stripe } from "stripe"
import { beforeEach } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import {
  startStripeSimulator,
  type StripeSimulator,
  type StripeSimulatorOptions
} from "../../simulators/stripe/StripeSimulator.ts"
import { sleep, until } from "../e2e/Fleet.ts"
import { freePort, startBackend, startProcess } from "../support/Backend.ts"
import { logIn, type Person, type Reply } from "../support/Client.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"

export const secret = "whsec_of_the_tests"

/** The simulator's state, as far as the tests compare with it. */
export type StripeState = ReturnType<StripeSimulator["snapshot"]>["state"]
export type StripeEvent = NonNullable<StripeState["objects"]["event"]>[string] & { readonly object: "event" }

export interface World {
  readonly database: TestDatabase
  readonly stripe: StripeSimulator
  /** The SDK at the simulator, to do what a person could do in Stripe's dashboard. */
  readonly sdk: Stripe
  /** Of every backend, or process. */
  readonly urls: ReadonlyArray<string>
  /** What a backend at this database and simulator is configured with. */
  readonly settings: { readonly DATABASE_URL: string; readonly [name: string]: string }
  readonly someone: () => Promise<Person>
  /** Until no webhook and no billing job is on its way. */
  readonly settled: () => Promise<void>
  /** Runs a task of the queue to its end, with all the jobs that it makes. */
  readonly run: (task: "stripe_reconcile" | "stripe_reconcile_all") => Promise<void>
  readonly stop: () => Promise<void>
}

export interface WorldOptions {
  readonly simulator?: StripeSimulatorOptions
  /** Of each backend; they all listen, the first gets the webhooks. */
  readonly backends?: ReadonlyArray<Readonly<Record<string, string>>>
  /** Real processes instead of layers in this one. */
  readonly processes?: boolean
  /** Where Stripe is asked, when that is not the simulator itself. */
  readonly apiBase?: (simulator: StripeSimulator) => Promise<string>
}

/** A database, both simulators and some backends on them. */
export const startWorld = async ({
  apiBase,
  backends = [{}],
  processes = false,
  simulator = {}
}: WorldOptions = {}): Promise<World> => {
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
  const settled = async () => {
    await stripe.idle()
    await until("no billing job", 30, async () => (await jobsOf(database)).length === 0)
  }
  return {
    database,
    stripe,
    sdk: new Stripe("sk_test_simulated", { host: stripe.host, port: stripe.port, protocol: "http", telemetry: false }),
    urls: processes ? [url] : running.map(({ url }) => url),
    settings: { ...settings, PORT: String(port) },
    someone: async () => {
      await forgetThrottles(database)
      return logIn(url)
    },
    settled,
    run: async (task) => {
      await database.query("select graphile_worker.add_job($1)", [task])
      await settled()
    },
    stop: async () => {
      await stripe.stop()
      await Promise.all(running.map((backend) => backend.stop()))
      await gemini.stop()
      await database.drop()
    }
  }
}

/** The production entry as a process of its own in this world. */
export const startProcessIn = async (world: World, own: Readonly<Record<string, string>> = {}) => {
  const process = await startProcess({ ...world.settings, LOG_LEVEL: "info", ...own })
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
/** Billing jobs that are there: waiting, running or to be tried again. */
export const jobsOf = (database: TestDatabase) =>
  database.query<Job>(
    "select * from graphile_worker.jobs where task_identifier like 'stripe%' and not (locked_by is null and key is null and attempts >= max_attempts)"
  )

/** Puts Stripe's clock so many days before or after ours; nothing falls due by that alone. */
export const setClock = ({ stripe }: World, days: number) => {
  const { state, url } = stripe.snapshot()
  stripe.restore({ url, state: { ...state, offsetMillis: days * 86_400_000 } })
}

/**
 * Every ten minutes of the clock the reconciliation asks Stripe what it missed, in any world: no test that counts calls
 * begins right before.
 */
beforeEach(async () => {
  const period = 600_000
  const since = Date.now() % period
  if (since > period - 20_000) await sleep(period - since + 3_000)
  else if (since < 3_000) await sleep(3_000 - since)
})

/** Lets jobs that wait for their next try be tried now. */
export const retryNow = (world: World) =>
  world.database.query("update graphile_worker._private_jobs set run_at = now() where locked_at is null")

export const status = async (person: Person): Promise<Reply["body"]> => {
  const reply = await person.call("GET", "/subscription/status")
  if (reply.status !== 200) throw new Error(`no status: ${reply.status} ${reply.text}`)
  return reply.body
}

export const tierOf = async (person: Person): Promise<string> => (await status(person)).tier

export const subscribe = (person: Person, key?: string) =>
  person.call("POST", "/subscribe/pro", undefined, key === undefined ? {} : { "idempotency-key": key })

/** Opens a checkout and returns its session. */
export const checkout = async (person: Person): Promise<string> => {
  const reply = await subscribe(person)
  if (reply.status !== 201 && reply.status !== 200) throw new Error(`no checkout: ${reply.status} ${reply.text}`)
  return reply.body.sessionId
}

/** Somebody whose payment went through and is known. */
export const subscriber = async (world: World): Promise<Person> => {
  const person = await world.someone()
  world.stripe.checkout({ session: await checkout(person), action: "pay" })
  await world.settled()
  return person
}

export const customerOf = async (world: World, person: Person): Promise<string> => {
  const [row] = await world.database.query<{ customer_id: string }>(
    "select customer_id from billing_customers where user_id = $1",
    [person.userId]
  )
  return row?.customer_id ?? ""
}

/** What the database has of a person's subscriptions, the oldest first. */
export const stored = (world: World, person: Person) =>
  world.database.query<{
    id: string
    status: string
    customer_id: string
    cancel_at: Date | null
    cancel_at_period_end: boolean
    fetched_at: Date
  }>("select * from subscriptions where user_id = $1 order by created_at, id", [person.userId])

/** What Stripe has of a customer's subscriptions, the oldest first. */
export const atStripe = (world: World, customer: string) =>
  objects(world, "subscription").filter((subscription) => subscription.customer === customer)

export const objects = <K extends "subscription" | "charge" | "refund" | "checkout.session" | "invoice" | "customer" | "event">(
  world: World,
  kind: K
) =>
  Object.values(world.stripe.snapshot().state.objects[kind] ?? {}) as Array<
    Extract<NonNullable<StripeState["objects"][K]>[string], { readonly object: K }>
  >

/** Everything that billing has stored about somebody, and when. */
export const everything = (world: World, person: Person) =>
  world.database.query(
    `select s.*, s.xmin::text, u.pro_until, u.xmin::text as user_version, c.synced_at from users u
     left join subscriptions s on s.user_id = u.id left join billing_customers c on c.user_id = u.id where u.id = $1`,
    [person.userId]
  )

export type Kept = { readonly id: string; readonly type: string; readonly customer_id: string | null; readonly outcome: string }
/** The inbox, by event. */
export const inbox = async (world: World): Promise<ReadonlyMap<string, Kept>> => {
  const rows = await world.database.query<Kept>("select * from webhook_events")
  return new Map(rows.map((row) => [row.id, row]))
}

/** The newest event of a type, about a customer when one is given. */
export const eventOf = (world: World, type: string, customer?: string): StripeEvent => {
  const found = objects(world, "event").findLast(
    (event) =>
      event.type === type &&
      (customer === undefined || ("customer" in event.data.object && event.data.object.customer === customer))
  )
  if (found === undefined) throw new Error(`no ${type}`)
  return found
}

export const ask = async (person: Person, count: number): Promise<Array<Reply>> => {
  const replies: Array<Reply> = []
  for (let index = 0; index < count; index++) {
    const room = await person.room()
    replies.push(await person.ask(room, `[[say yes]] question ${index}`, { wait: 10 }))
  }
  return replies
}

export const times = <A>(count: number, make: (index: number) => A): Array<A> =>
  Array.from({ length: count }, (_, index) => make(index))

export { until }
