/** Rows of one statement. */
export type Query = (sql: string) => Promise<ReadonlyArray<Record<string, unknown>>>

interface Table {
  readonly name: string
  readonly head: string
  readonly lines: ReadonlyArray<string>
  readonly parents: ReadonlyArray<string>
}

/** Every query sorts in the collation "C", so that the same schema gives the same text on each server. */
const sequences = `
  select format('create sequence %I as %s;', sequencename, data_type) as statement
  from pg_sequences where schemaname = 'public' order by sequencename collate "C"
`

/** Postgres 18 lists "not null" among the constraints, too: it is a column's property on every version. */
const tables = `
  select c.relname as name,
    case c.relpersistence when 'u' then 'create unlogged table ' else 'create table ' end || quote_ident(c.relname) as head,
    array(
      select concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        case when a.attgenerated = 's' then format('generated always as (%s) stored', pg_get_expr(d.adbin, d.adrelid, true))
          else 'default ' || pg_get_expr(d.adbin, d.adrelid, true) end,
        case when a.attnotnull then 'not null' end)
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
    ) || array(
      select format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid, true)) from pg_constraint k
      where k.conrelid = c.oid and k.contype in ('p', 'u', 'c', 'f', 'x')
      order by array_position(array['p', 'u', 'c', 'x', 'f'], k.contype::text), k.conname collate "C"
    ) as lines,
    array(
      select distinct p.relname::text from pg_constraint k join pg_class p on p.oid = k.confrelid
      where k.conrelid = c.oid and p.oid <> c.oid
    ) as parents
  from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by c.relname collate "C"
`

/** Of columns that do not have their type's own. In `create table` only since Postgres 16. */
const storage = `
  select format('alter table %I alter column %I set storage %s;', c.relname, a.attname,
      case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main' else 'extended' end) as statement
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid
  where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
    and a.attstorage <> t.typstorage
  order by c.relname collate "C", a.attnum
`

/** A constraint's index comes with it. */
const indexes = `
  select pg_get_indexdef(i.indexrelid, 0, true) || ';' as statement from pg_index i join pg_class c on c.oid = i.indexrelid
  where c.relnamespace = 'public'::regnamespace and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
  order by c.relname collate "C"
`

/** Those in SQL come last: what they call is looked up when they are made. */
const functions = `
  select rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' as statement from pg_proc p join pg_language l on l.oid = p.prolang
  where p.pronamespace = 'public'::regnamespace order by l.lanname = 'sql', p.proname collate "C", p.pronargs
`

const triggers = `
  select pg_get_triggerdef(t.oid, true) || ';' as statement from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where not t.tgisinternal and c.relnamespace = 'public'::regnamespace order by t.tgname collate "C", c.relname collate "C"
`

/** A table comes after those that it refers to. */
const parentsFirst = (unsorted: ReadonlyArray<Table>): ReadonlyArray<Table> => {
  const sorted: Array<Table> = []
  const add = (table: Table) => {
    if (sorted.includes(table)) return
    for (const parent of unsorted.filter(({ name }) => table.parents.includes(name))) add(parent)
    sorted.push(table)
  }
  for (const table of unsorted) add(table)
  return sorted
}

const isText = (value: unknown): value is string => typeof value === "string"
const texts = (value: unknown): ReadonlyArray<string> => (Array.isArray(value) ? value.filter(isText) : [])

/**
 * The schema as statements that make it, read from a database's catalogue: sequences, tables, indexes, functions,
 * triggers. The same on every version of Postgres that we support, and whichever way the database was migrated.
 */
export const readSchema = async (query: Query): Promise<string> => {
  const statements = async (sql: string) => (await query(sql)).map(({ statement }) => String(statement))
  const found = (await query(tables)).map(({ head, lines, name, parents }) => ({
    name: String(name),
    head: String(head),
    lines: texts(lines),
    parents: texts(parents)
  }))
  const parts = [
    ...(await statements(sequences)),
    ...parentsFirst(found).map(({ head, lines }) => `${head} (\n${lines.map((line) => `  ${line}`).join(",\n")}\n);`),
    ...(await statements(storage)),
    ...(await statements(indexes)),
    ...(await statements(functions)),
    ...(await statements(triggers))
  ]
  return `${parts.join("\n\n")}\n`
}

/** What migrations/schema.sql holds. */
export const schemaFile = (schema: string): string => `-- Made by \`npm run schema\`: do not edit.\n\n${schema}`
