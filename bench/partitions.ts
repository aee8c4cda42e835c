/**
 * `node bench/partitions.ts [--rows N]`: what partitions of messages by hash of the user, and of the ledger by month, cost
 * and save. Plain and partitioned tables take turns in each round; only the ratios say something.
 */
import pg from "pg"
import { startPostgres } from "../dev/EmbeddedPostgres.ts"
import { logPosition } from "./logPosition.ts"
import { median } from "./table.ts"

const at = process.argv.indexOf("--rows")
const rows = at < 0 ? 300_000 : Number(process.argv[at + 1])
const rounds = 5
const users = 2_000
const parts = 16

const postgres = await startPostgres({
  ephemeral: true,
  settings: { fsync: "on", full_page_writes: "on", synchronous_commit: "on" }
})
const client = new pg.Client({ connectionString: postgres.url })
await client.connect()
const columns =
  "user_id uuid, id uuid, chatroom_id uuid, content text, status text, completed_at timestamptz, primary key (user_id, id)"
const ledger = "user_id uuid, id uuid, cost bigint, at timestamptz not null"

const measure = async (work: () => Promise<unknown>) => {
  const [from, begun] = [await logPosition(client), performance.now()]
  await work()
  return { millis: performance.now() - begun, bytes: (await logPosition(client)) - from }
}
const user = (n: string) => `('00000000-0000-7000-8000-' || lpad(to_hex((${n}) % ${users}), 12, '0'))::uuid`
const id = (n: string) => `('01a00000-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`

await client.query(
  `create table plain (${columns}); create index plain_unfinished on plain (completed_at) where completed_at is null`
)
await client.query(`create table parts (${columns}) partition by hash (user_id)`)
for (let part = 0; part < parts; part++)
  await client.query(`create table parts_${part} partition of parts for values with (modulus ${parts}, remainder ${part})`)
await client.query("create index parts_unfinished on parts (completed_at) where completed_at is null")

const figures = new Map<string, Array<number>>()
const note = (name: string, plain: number, partitioned: number) => {
  figures.set(name, [...(figures.get(name) ?? []), partitioned / plain])
}
for (let round = 0; round < rounds; round++) {
  const from = (round * rows) / rounds
  const of = async (table: string) => {
    const insert = await measure(() =>
      client.query(
        `insert into ${table} select ${user("n")}, ${id("n")}, ${user("n")}, repeat('x', 200), 'completed', now() from generate_series($1::int, $2::int) n`,
        [from, from + rows / rounds - 1]
      )
    )
    const look = `select content from ${table} where user_id = ${user("$1::int")} and id = ${id("$2::int")}`
    const lookups = async (name: string | undefined) => {
      for (let n = 0; n < 3_000; n++) {
        const key = (n * 7_919) % (from + 1)
        await client.query({ text: look, values: [key, key], ...(name === undefined ? {} : { name }) })
      }
    }
    await lookups(table)
    const prepared = await measure(() => lookups(table))
    const planned = await measure(() => lookups(undefined))
    const sweep = await measure(async () => {
      for (let n = 0; n < 300; n++) await client.query(`select user_id, id from ${table} where completed_at is null limit 100`)
    })
    const updates = await measure(async () => {
      for (let n = 0; n < 500; n++)
        await client.query({
          name: `update ${table}`,
          text: `update ${table} set status = 'x' where user_id = ${user("$1::int")} and id = ${id("$1::int")}`,
          values: [(n * 104_729) % (from + 1)]
        })
    })
    const vacuum = await measure(() => client.query(`vacuum ${table}`))
    return { insert, prepared, planned, sweep, updates, vacuum }
  }
  const order = round % 2 === 0 ? ["plain", "parts"] : ["parts", "plain"]
  const results = new Map<string, Awaited<ReturnType<typeof of>>>()
  for (const table of order) results.set(table, await of(table))
  const [plain, partitioned] = [results.get("plain"), results.get("parts")]
  if (plain === undefined || partitioned === undefined) continue
  for (const name of ["insert", "prepared", "planned", "sweep", "updates", "vacuum"] as const)
    note(name, plain[name].millis, partitioned[name].millis)
  note("insert, WAL", plain.insert.bytes, partitioned.insert.bytes)
}

await client.query(`create table calls (${ledger}, primary key (user_id, id)); create index on calls (at)`)
await client.query(`create table calls_months (${ledger}, primary key (user_id, id, at)) partition by range (at)`)
for (const month of [1, 2])
  await client.query(
    `create table calls_${month} partition of calls_months for values from ('2026-0${month}-01') to ('2026-0${month + 1}-01')`
  )
for (const table of ["calls", "calls_months"])
  await client.query(
    `insert into ${table} select ${user("n")}, ${id("n")}, n, '2026-01-01'::timestamptz + (n % 59) * interval '1 day' from generate_series(1, $1) n`,
    [rows]
  )
const deleted = await measure(() => client.query("delete from calls where at < '2026-02-01'"))
const dropped = await measure(() => client.query("drop table calls_1"))
for (const [name, ratios] of figures)
  console.log(`${name}: ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`)
console.log(
  `ledger: delete ${deleted.millis.toFixed(0)} ms, ${(deleted.bytes / (rows / 2)).toFixed(0)} bytes of WAL a row; drop ${dropped.millis.toFixed(0)} ms`
)
await client.end()
await postgres.stop()
