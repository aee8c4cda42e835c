import { setTimeout as sleep } from "node:timers/promises"
import { logIn } from "../support/Client.ts"
import { counters, exits, finalLists, freshness, quotas } from "./AccountRules.ts"
import { installAudit } from "./Audit.ts"
import { Customer } from "./Customer.ts"
import { gather } from "./Evidence.ts"
import { Database, type Slot, startSlots } from "./Fleet.ts"
import { Ledger } from "./Ledger.ts"
import { messageRules } from "./MessageRules.ts"
import { type Model, startModel } from "./Model.ts"
import { unleash } from "./Monkey.ts"
import { Random } from "./Random.ts"
import { noteFigures } from "./Report.ts"
import { settle, tidied } from "./Settling.ts"
import type { World } from "./World.ts"
import { forgetThrottles } from "../support/Database.ts"

export interface Plan {
  readonly seconds: number
  readonly seed: number
  /** With stopped workers and a crashing Postgres, and with the patience to see everything clean itself up. */
  readonly isHarsh: boolean
}

/** Chatting in two windows each, some of them on Pro; and those who only tidy their rooms. */
const chatters = 16
const tidiers = 4
const roomsOf = (number: number) => (number < chatters ? 4 : 20)

/** Low enough that Basic users are refused in the end, and high enough that the others keep everything busy. */
const limits = ({ seconds }: Plan) => ({ basic: 4 + Math.ceil(seconds / 15), pro: 20 + seconds })

const isUp = async (slots: ReadonlyArray<Slot>) => {
  for (const deadline = Date.now() + 120_000; !slots.every((slot) => slot.isFree); await sleep(50)) {
    if (Date.now() > deadline)
      throw new Error(`the fleet did not start: ${slots.map((slot) => slot.current?.output()).join("\n")}`)
  }
}

const arrive = async (world: World, random: Random, isPro: (number: number) => boolean): Promise<Array<Customer>> => {
  const customers: Array<Customer> = []
  for (let number = 0; number < chatters + tidiers; number++) {
    await forgetThrottles(world.database)
    const person = await logIn(world.apis[number % 2 === 0 ? 0 : 1].url)
    if (isPro(number))
      await world.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
    const customer = new Customer(world, number, person, random.fork())
    for (let rooms = 0; rooms < roomsOf(number); rooms++) {
      const room = await customer.openRoom(world.apis[0], number < chatters ? 0 : 1_500)
      if (room !== undefined) customer.rooms.push(room)
    }
    customers.push(customer)
  }
  return customers
}

/** Everybody at once: the monkey for its time, the customers until they have brought to an end what they began by then. */
const live = async (world: World, customers: ReadonlyArray<Customer>, plan: Plan, random: Random): Promise<void> => {
  const days = customers.flatMap((customer, number) =>
    number < chatters ? [customer.chat(), customer.chat()] : [customer.tidy()]
  )
  const busy = Promise.all(days)
  await Promise.all([unleash(world, random.fork(), plan.seconds, plan.isHarsh).then(() => (world.isClosing = true)), busy])
}

const judge = async (world: World, customers: ReadonlyArray<Customer>, limitOf: (userId: string) => number): Promise<void> => {
  const evidence = await gather(world.database)
  for (const check of messageRules) check(evidence, world.ledger, world.model.calls)
  quotas(world, evidence, limitOf)
  counters(world, evidence)
  await finalLists(world, evidence, customers)
  freshness(world)
  exits(world)
  noteFigures(world, evidence)
}

/** A fleet, its customers and a monkey; then peace, and the proof that nothing was lost, doubled or mixed up. */
export const run = async (plan: Plan): Promise<Ledger> => {
  const random = new Random(plan.seed)
  const { basic, pro } = limits(plan)
  const database = await Database.start()
  const model: Model = await startModel()
  const slots = await startSlots({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: model.url,
    MIGRATE: "on",
    BASIC_DAILY_PROMPTS: `${basic}`,
    PRO_DAILY_PROMPTS: `${pro}`
  })
  try {
    await isUp(slots)
    await installAudit(database)
    const apis = slots.filter(({ role }) => role === "api")
    const [first, second] = apis
    if (first === undefined || second === undefined) throw new Error("there are two apis")
    let closesStreamsAt = Infinity
    const world: World = {
      slots,
      apis: [first, second],
      database,
      model,
      ledger: new Ledger(),
      isClosing: false,
      closesStreams: () => Date.now() > closesStreamsAt
    }
    const isPro = (number: number) => number % 2 === 1 || number >= chatters
    const customers = await arrive(world, random, isPro)
    await live(world, customers, plan, random)
    await settle(world)
    closesStreamsAt = Date.now() + 10_000
    await Promise.all(customers.flatMap(({ following }) => [...following]))
    await tidied(world, !plan.isHarsh)
    await judge(world, customers, (userId) =>
      isPro(customers.findIndex((customer) => customer.userId === userId)) ? pro : basic
    )
    return world.ledger
  } finally {
    await Promise.all(slots.map((slot) => slot.dismiss()))
    await model.stop()
    await database.stop()
  }
}
