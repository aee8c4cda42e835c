import type { Customer } from "./Customer.ts"
import type { Evidence } from "./Evidence.ts"
import type { Incarnation, Slot } from "./Fleet.ts"
import type { Stale } from "./Ledger.ts"
import type { World } from "./World.ts"

/** Milliseconds that the news of a change may take to all processes, and that its writer has to live to send it. */
const news = 2_000
const lastWords = 1_000
/** Milliseconds for which the loss of Postgres explains that a process ends. */
const aftermath = 60_000

export const quotas = ({ ledger }: World, { replies, usage, users }: Evidence, limitOf: (userId: string) => number): void => {
  const charged = Map.groupBy(replies, ({ quota_day, user_id }) => `${user_id} ${quota_day}`)
  const counted = new Map(usage.map(({ day, used, user_id }) => [`${user_id} ${day}`, used]))
  for (const key of new Set([...charged.keys(), ...counted.keys()])) {
    const rows = charged.get(key) ?? []
    const refunded = rows.filter(({ quota_state }) => quota_state === "refunded").length
    const used = counted.get(key) ?? 0
    if (used !== rows.length - refunded)
      ledger.violate("quota-exact", `${key}: ${used} used, ${rows.length} accepted, ${refunded} refunded`)
    const limit = limitOf(key.split(" ")[0] ?? "")
    if (Math.max(used, rows.length - refunded) > limit)
      ledger.violate("quota-limit", `${key}: ${used} used of ${limit}, ${rows.length} accepted`)
    const open = rows.filter(({ quota_state }) => quota_state === "reserved").length
    if (open > 0) ledger.violate("quota-exact", `${key}: ${open} replies have ended and are neither spent nor refunded`)
  }
  if (users.length === 0) ledger.violate("settles", "there are no users")
}

export const counters = ({ ledger }: World, { rooms, users }: Evidence): void => {
  for (const { id, unfinished } of rooms) if (unfinished !== 0) ledger.violate("room-counter", `room ${id} counts ${unfinished}`)
  const byUser = Map.groupBy(rooms, ({ user_id }) => user_id)
  for (const { chatrooms, id } of users) {
    const count = byUser.get(id)?.length ?? 0
    if (count !== chatrooms) ledger.violate("rooms-counter", `user ${id} counts ${chatrooms} of ${count}`)
  }
}

const livedOn = (by: Incarnation | undefined, at: number) =>
  by !== undefined && (by.exit === undefined || by.exit.at >= at + lastWords)

/** Only of changes whose process lived on: one that dies with its news unsent may leave others in the dark for a while. */
export const freshness = ({ ledger }: World): void => {
  const excusable = ({ change }: Stale) => !livedOn(change.by, change.at)
  ledger.most("staleness, max (ms)", 0)
  for (const stale of ledger.stale) {
    const { askedAt, cache, change, slot } = stale
    if (excusable(stale)) {
      ledger.most("staleness after a writer's death, max (ms)", askedAt - change.at)
      continue
    }
    ledger.most("staleness, max (ms)", askedAt - change.at)
    if (askedAt - change.at > news)
      ledger.violate(
        "list-fresh",
        `${change.what} by ${change.by?.slot} was ${askedAt - change.at} ms old and not in the list of ${slot} (${cache})`
      )
  }
}

/** The first page as both processes give it now, cached or not, against the rows. */
export const finalLists = async (world: World, { rooms }: Evidence, customers: ReadonlyArray<Customer>): Promise<void> => {
  for (const customer of customers) {
    const expected = rooms
      .filter(({ user_id }) => user_id === customer.userId)
      .slice(0, 100)
      .map(({ id, last_message_at, title }) => `${id} ${title} ${last_message_at?.toISOString() ?? null}`)
    for (const api of world.apis) {
      const { body, headers, status } = await customer.list(api)
      const listed =
        status === 200 ? body.data.map(({ id, lastMessageAt, title }) => `${id} ${title} ${lastMessageAt}`) : [`${status}`]
      if (listed.join("\n") !== expected.join("\n")) {
        world.ledger.violate(
          "list-final",
          `user ${customer.userId} at ${api.name} (${headers.get("cache-status")}): ${listed.join("; ")} instead of ${expected.join("; ")}`
        )
      }
    }
  }
}

/** A process ends when it is told to, a worker also when Postgres goes; and one that is asked to go says it went well. */
export const exits = ({ database, ledger, slots }: World): void => {
  const lastWordsOf = (life: Incarnation) => life.output().trim().split("\n").slice(-4).join(" | ").slice(-600)
  const check = (slot: Slot, life: Incarnation) => {
    const { exit, told } = life
    if (exit === undefined || told?.signal === "SIGKILL") return
    const name = `${slot.name}, life ${life.number}: ${JSON.stringify(exit)}`
    if (told === undefined) {
      ledger.count("processes that ended by themselves")
      const mayLeave = slot.role === "worker" || life.readyAt === undefined
      if (!mayLeave || !database.wasAway(exit.at - aftermath, exit.at))
        ledger.violate("exits", `${name} by itself: ${lastWordsOf(life)}`)
      return
    }
    ledger.most("slowest exit after SIGTERM (ms)", exit.at - told.at)
    if (exit.at - told.at > 27_000) ledger.violate("exits", `${name} took ${exit.at - told.at} ms`)
    if (exit.code !== 0 && !database.wasAway(told.at - 15_000, exit.at))
      ledger.violate("exits", `${name} after SIGTERM: ${lastWordsOf(life)}`)
  }
  for (const slot of slots) for (const life of slot.lives) check(slot, life)
}
