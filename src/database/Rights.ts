import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { SettingError } from "../config/Reading.ts"
import { AppConfig } from "../config/Settings.ts"
import { forbiddenReason, makeClient } from "./Connections.ts"

/** The tables of the product. */
export const ownTables = [
  "users",
  "api_keys",
  "auth_events",
  "billing_customers",
  "billing_holds",
  "chatrooms",
  "checkout_attempts",
  "file_chunks",
  "file_removals",
  "file_uses",
  "files",
  "idempotency_keys",
  "messages",
  "migrations",
  "model_calls",
  "model_pauses",
  "otp_challenges",
  "otp_joined_challenges",
  "room_summaries",
  "server_secrets",
  "sessions",
  "shares",
  "stream_log",
  "stream_segments",
  "subscriptions",
  "throttles",
  "trial_uses",
  "usage_daily",
  "webhook_events",
  "worker_heartbeats"
] as const

const decodeRights = Schema.decodeUnknownEffect(Schema.Array(Schema.Struct({ problem: Schema.String, remedy: Schema.String })))

/** What the role of these connections lacks, each with the statement that gives it. */
export const missingRights = Effect.fnUntraced(
  function* (sql: SqlClient.SqlClient) {
    const rows = yield* sql`
      with schemas as (
        select oid, quote_ident(nspname) as name from pg_namespace
        where nspname = 'graphile_worker' or oid = (select relnamespace from pg_class where relname = 'users' and relkind = 'r'
          and relnamespace = any (select to_regnamespace(quote_ident(trim(s, '" ')))::oid
            from unnest(string_to_array(replace(current_setting('search_path'), '"$user"', session_user), ',')) s) limit 1)
      ), closed as (
        select name from schemas where not has_schema_privilege(oid, 'USAGE')
      ), own as (
        select to_regclass(name)::oid as oid, name from unnest(string_to_array(${ownTables.join(",")}, ',')) as name
      ), tables as (
        select c.oid, own.name, case c.relname when 'migrations' then 'SELECT' when 'server_secrets' then 'SELECT, INSERT'
          else 'SELECT, INSERT, UPDATE, DELETE' end as needed
        from own join pg_class c on c.oid = own.oid
        union all
        select c.oid, 'graphile_worker.' || c.relname,
          case when c.relkind = 'v' or c.relname = 'migrations' then 'SELECT' else 'SELECT, INSERT, UPDATE, DELETE' end
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'graphile_worker' and c.relkind in ('r', 'p', 'v')
      ), found as (
        select 1 as rank, 'no USAGE on the schema ' || name as problem,
          'GRANT USAGE ON SCHEMA ' || name || ' TO ' || quote_ident(current_user) as remedy from closed
        union all
        select 2, 'no ' || lacks.privileges || ' on the table ' || t.name,
          'GRANT ' || lacks.privileges || ' ON ' || t.name || ' TO ' || quote_ident(current_user)
        from tables t, lateral (
          select string_agg(p, ', ') as privileges from unnest(string_to_array(t.needed, ', ')) as p
          where not has_table_privilege(t.oid, p)
        ) lacks where lacks.privileges is not null
        union all
        select 3, 'row security hides rows of the table ' || name,
          'ALTER ROLE ' || quote_ident(current_user) || ' BYPASSRLS' from tables where row_security_active(oid)
        union all
        select 4, 'no USAGE on the sequence worker_numbers',
          'GRANT USAGE ON SEQUENCE worker_numbers TO ' || quote_ident(current_user)
        from (select to_regclass('worker_numbers')::oid as oid) s where not has_sequence_privilege(s.oid, 'USAGE')
      )
      select problem, remedy from found order by rank, problem
    `
    return yield* decodeRights(rows)
  },
  Effect.timeout("5 seconds"),
  Effect.orDie
)

const sentence = (problem: string, remedy: string, more: number) =>
  `the role lacks a right: ${problem}${more === 0 ? "" : ` (and ${more} more)`}. Run as the owner: ${remedy}`

/** What is missing in one line, or undefined. */
export const summaryOf = (missing: ReadonlyArray<{ readonly problem: string; readonly remedy: string }>): string | undefined =>
  missing[0] === undefined ? undefined : sentence(missing[0].problem, missing[0].remedy, missing.length - 1)

/** Ends the start when a role lacks a right, with the setting that names the role. */
export const refuseWithoutRights = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, endpoint: DatabaseEndpoint) {
  const problem = summaryOf(yield* missingRights(sql))
  if (problem !== undefined) return yield* new SettingError({ setting: endpoint.setting, problem })
})

/** The role of `DATABASE_DIRECT_URL`, which the queue uses, when it is another one. */
export const refuseDirectWithoutRights = Effect.gen(function* () {
  const { database, databaseDirect } = yield* AppConfig
  if (databaseDirect.username === database.username) return
  const options = { endpoint: databaseDirect, name: "chat-backend rights", statementMillis: 5_000, silenceMillis: 7_000 }
  const client = yield* makeClient({ ...options, connections: 1 })
  yield* refuseWithoutRights(client, databaseDirect)
}).pipe(Effect.scoped)

/** A migration that the role may not make, reported as a bad setting; every other error stays as it is. */
export const explainForbidden =
  (endpoint: DatabaseEndpoint) =>
  <E>(error: E): E | SettingError => {
    const reason = forbiddenReason(error)
    if (reason === undefined) return error
    const remedy =
      "GRANT CREATE on the database and on its schema, or run `npm run migrate` as the owner and set MIGRATE=off here"
    return new SettingError({ setting: endpoint.setting, problem: `the role may not migrate: ${reason}. Remedy: ${remedy}` })
  }
