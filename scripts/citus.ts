/**
 * `npm run citus -- postgres://…`: distributes the tables of a migrated, empty database by user on Citus, as the table in
 * docs/scaling.md says. Changes nothing where the extension is not installed.
 */
import { readFileSync } from "node:fs"
import pg from "pg"

const [url] = process.argv.slice(2)
if (url === undefined) {
  console.error("usage: npm run citus -- postgres://user:password@host/database")
  process.exit(2)
}

const rows = [...readFileSync("docs/scaling.md", "utf8").matchAll(/^\| `(\w+)` \| (?:`(\w+)`|(reference|local)) \|/gm)].map(
  ([, table = "", column, kind]) => ({ table, column, kind })
)
/** Unique values without the user: a distributed table cannot keep them. */
const dropped = [
  "alter table users drop constraint users_mobile_key",
  "alter table billing_customers drop constraint billing_customers_customer_id_key",
  "alter table checkout_attempts drop constraint checkout_attempts_session_id_key",
  "drop index api_keys_hash",
  "create index api_keys_hash on api_keys (key_hash)",
  "drop index shares_token",
  "create index shares_token on shares (token_hash)"
]
const distribute = ({ column, kind, table }: (typeof rows)[number]): ReadonlyArray<string> => {
  if (kind === "reference") return [`select create_reference_table('${table}')`]
  if (column === undefined) return []
  const together = column === "user_id" ? ", colocate_with => 'users'" : ""
  return [`select create_distributed_table('${table}', '${column}'${together})`]
}

const client = new pg.Client({ connectionString: url })
await client.connect()
const { rows: found } = await client.query("select 1 from pg_available_extensions where name = 'citus'")
if (found.length === 0) console.log("skipped: the extension citus is not installed on this server")
else {
  await client.query("create extension if not exists citus")
  for (const statement of [...dropped, ...rows.flatMap(distribute)]) {
    console.log(statement)
    await client.query(statement)
  }
}
await client.end()
