import { Cause, Context, Effect, Exit } from "effect"
import type { SqlClient } from "effect/sql"
import { CurrentSlot, type RequestSlot } from "../ops/RequestSlot.ts"
import { isPassing } from "./Connections.ts"
import { DatabaseBusy } from "./RequestBulkhead.ts"

/** Changes that one transaction makes together: it takes about ten milliseconds. */
const maximumTogether = 32
/** Transactions of one kind that a process runs at the same time. */
const laneCount = 4
/** Milliseconds that a request waits for its turn. */
const maxWait = 3_000

interface Entry<Item, A, E> {
  readonly item: Item
  /** The request that waits for it; undefined outside a request. */
  readonly slot: RequestSlot | undefined
  readonly end: (result: Effect.Effect<A, E>) => void
}

interface Lane<Item, A, E> {
  isBusy: boolean
  readonly waiting: Set<Entry<Item, A, E>>
}

/**
 * Makes changes in one transaction, and returns the result of each. Where `waits` is false, it waits for no user's lock:
 * a change that would have to has no result.
 */
type Make<Item, A, E> = (items: ReadonlyArray<Item>, waits: boolean) => Effect.Effect<ReadonlyArray<A | undefined>, E>

/** Whether a batch that failed may have been refused for one of its changes. */
const mayBeOneBadChange = (cause: Cause.Cause<unknown>): boolean => {
  if (Cause.hasInterruptsOnly(cause)) return false
  const error = Cause.squash(cause)
  return !(error instanceof DatabaseBusy) && !isPassing(error)
}

/**
 * Makes changes in batches: a change that comes while others are made waits, and all that wait share the next
 * transaction, its round trip and its flush to the disk. A change that finds none before it is made at once.
 *
 * A batch holds up nothing: a change whose user is locked by another transaction is made alone, beside the next batches.
 * When a batch fails, each of its changes is made alone, so that a bad one fails by itself.
 */
export const makeBatches = Effect.fnUntraced(function* <Item extends { readonly userId: string }, A, E>(make: Make<Item, A, E>) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const lanes = Array.from({ length: laneCount }, (): Lane<Item, A, E> => {
    const waiting = new Set<Entry<Item, A, E>>()
    return { isBusy: false, waiting }
  })

  const alone = (item: Item) =>
    Effect.flatMap(make([item], true), ([result]) =>
      result === undefined ? Effect.die(new Error("a statement returned nothing for a change")) : Effect.succeed(result)
    )

  const runAlone = ({ end, item, slot }: Entry<Item, A, E>) =>
    alone(item).pipe(
      Effect.provideService(CurrentSlot, slot),
      Effect.onExit((exit) => Effect.sync(() => end(exit)))
    )

  const runTogether = Effect.fnUntraced(function* (entries: ReadonlyArray<Entry<Item, A, E>>) {
    const items = entries.map(({ item }) => item)
    const exit = yield* make(items, false).pipe(Effect.provideService(CurrentSlot, entries[0]?.slot), Effect.exit)
    for (const [index, entry] of entries.entries()) {
      const result = Exit.isSuccess(exit) ? exit.value[index] : undefined
      if (result !== undefined) entry.end(Effect.succeed(result))
      else if (Exit.isFailure(exit) && !mayBeOneBadChange(exit.cause)) entry.end(Effect.failCause(exit.cause))
      else fork(runAlone(entry))
    }
  })

  const next = (lane: Lane<Item, A, E>): void => {
    const entries = [...lane.waiting].slice(0, maximumTogether)
    for (const entry of entries) lane.waiting.delete(entry)
    lane.isBusy = entries.length > 0
    if (lane.isBusy) fork(runTogether(entries).pipe(Effect.onExit(() => Effect.sync(() => next(lane)))))
  }

  const wait = (lane: Lane<Item, A, E>, item: Item) =>
    Effect.withFiber<A, E>((fiber) =>
      Effect.callback((resume) => {
        const slot = Context.get(fiber.context, CurrentSlot)
        const giveUp = () => lane.waiting.delete(entry) && resume(Effect.die(new DatabaseBusy()))
        const timer = slot === undefined ? undefined : setTimeout(giveUp, maxWait)
        const end = (result: Effect.Effect<A, E>) => {
          clearTimeout(timer)
          resume(result)
        }
        const entry: Entry<Item, A, E> = { item, slot, end }
        lane.waiting.add(entry)
        // The changes before it may have ended since the lane was looked at: a fiber can pause between any two steps.
        if (!lane.isBusy) next(lane)
        // A change that is being made is finished; its result is dropped.
        return Effect.sync(() => {
          clearTimeout(timer)
          lane.waiting.delete(entry)
        })
      })
    )

  /** Makes a change that finds no other before it, in the fiber that asks for it. */
  const first = (item: Item) =>
    make([item], false).pipe(
      Effect.map(([result]) => result),
      Effect.catchCause((cause) => (mayBeOneBadChange(cause) ? Effect.undefined : Effect.failCause(cause)))
    )

  return (item: Item): Effect.Effect<A, E> =>
    // An interrupt between taking the lane and giving it back would leave it taken for ever.
    Effect.uninterruptibleMask((restore) => {
      // The last digits of a UUID are random.
      const lane = lanes[Number.parseInt(item.userId.slice(-2), 16) % laneCount]
      if (lane === undefined) return restore(alone(item))
      if (lane.isBusy) return restore(wait(lane, item))
      lane.isBusy = true
      return restore(first(item)).pipe(
        Effect.onExit(() => Effect.sync(() => next(lane))),
        Effect.flatMap((result) => (result === undefined ? restore(alone(item)) : Effect.succeed(result)))
      )
    })
})

/** Columns of a table that is made of the items of a batch, with their SQL types. The names are those of the items' keys. */
type Columns<Item> = { readonly [Key in keyof Item]: string }

/** The items as rows in SQL, with their `position` from zero on. */
export const rowsOf = <Item extends object>(sql: SqlClient.SqlClient, items: ReadonlyArray<Item>, columns: Columns<Item>) => {
  const names = Object.keys(columns).map((name) => `"${name}"`)
  const definitions = Object.entries(columns).map(([name, type]) => `"${name}" ${type}`)
  return sql`(select ${sql.literal(names.join(", "))}, (position - 1)::int as position from rows from (
    json_to_recordset(${JSON.stringify(items)}::text::json) as (${sql.literal(definitions.join(", "))})
  ) with ordinality as given (${sql.literal(names.join(", "))}, position))`
}

/** The row of each item, by its `position`; undefined where the statement returned none. */
export const inOrder = <Row extends { readonly position: number }>(
  items: ReadonlyArray<unknown>,
  rows: ReadonlyArray<Row>
): ReadonlyArray<Row | undefined> => {
  const byPosition = new Map(rows.map((row) => [row.position, row]))
  return items.map((_, position) => byPosition.get(position))
}

/** The same of items that change something of their users. Without `waits`, only items of users that it could lock at once. */
export const unlockedRowsOf = <Item extends { readonly userId: string }>(
  sql: SqlClient.SqlClient,
  items: ReadonlyArray<Item>,
  columns: Columns<Item>,
  waits: boolean
) => {
  const rows = rowsOf(sql, items, columns)
  if (waits) return rows
  const ids = [...new Set(items.map(({ userId }) => userId))].join(",")
  return sql`(
    with locked as materialized (
      select id from users where id = any(string_to_array(${ids}, ',')::uuid[]) for no key update skip locked
    )
    select given.* from ${rows} given join locked on locked.id = given."userId" order by given.position offset 0
  )`
}
