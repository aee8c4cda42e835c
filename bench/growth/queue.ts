import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { requestText } from "../load.ts"
import { question, withSides } from "../sides.ts"
import type { Stage } from "../stage.ts"
import { number, table } from "../table.ts"

interface TableState {
  readonly name: string
  readonly live: number
  readonly dead: number
  readonly rows: string
  readonly indexes: string
  readonly vacuums: number
  readonly options: string
}

const stateOf = async (database: pg.Client): Promise<ReadonlyArray<TableState>> => {
  const { rows } = await database.query<TableState>(
    `select s.relname as name, n_live_tup::float8 as live, n_dead_tup::float8 as dead, pg_size_pretty(pg_table_size(relid)) as rows,
       pg_size_pretty(pg_indexes_size(relid)) as indexes, autovacuum_count::int as vacuums,
       coalesce(array_to_string(c.reloptions, ', '), 'defaults') as options
     from pg_stat_user_tables s join pg_class c on c.oid = s.relid
     where n_tup_ins + n_tup_upd > 50 order by n_tup_ins + n_tup_upd + n_tup_del desc limit 12`
  )
  return rows
}

/** Seconds after which autovacuum, which looks once a minute, has been everywhere. */
const settleSeconds = (messages: number) => (messages > 1_000 ? 90 : 0)

/** Sends so many messages through the queue while workers answer, and shows the tables at its end and a little later. */
export const measureQueue = (stage: Stage, messages: number): Promise<string> => {
  const users = Math.min(1_000, Math.ceil(messages / 10))
  return withSides(stage, "bench_queue", users, 4, async ({ rooms, sides: [product] }) => {
    if (product === undefined) throw new Error("there is no product")
    await stage.simulator.reset({ latencyMillis: 0, chunkMillis: 0 })
    await product.startWorker(100)
    const requests = rooms.map(({ id, token }) => requestText("POST", `/chatroom/${id}/message?wait=30`, token, question))
    const startedAt = performance.now()
    await stage.driver.run({ port: product.port, connections: 64, requests, most: messages }, 36_000, {})
    const seconds = (performance.now() - startedAt) / 1000
    const database = new pg.Client({ connectionString: product.databaseUrl })
    await database.connect()
    const atEnd = await stateOf(database)
    await sleep(1_000 * settleSeconds(messages))
    const later = new Map((await stateOf(database)).map((state) => [state.name, state]))
    await database.end()
    const rows = atEnd.map(({ dead, indexes, live, name, options, rows, vacuums }) => [
      name,
      number(live),
      `${number(dead)} → ${number(later.get(name)?.dead ?? Number.NaN)}`,
      `${rows} → ${later.get(name)?.rows ?? "–"}`,
      `${indexes} → ${later.get(name)?.indexes ?? "–"}`,
      `${vacuums} → ${later.get(name)?.vacuums ?? "–"}`,
      options
    ])
    return `After ${number(messages)} questions and their replies (${number(messages / seconds)} a second) → ${settleSeconds(messages)} s later:

${table(["Table", "Rows", "Dead", "Size of rows", "Size of indexes", "Autovacuums", "Settings"], rows)}`
  })
}
