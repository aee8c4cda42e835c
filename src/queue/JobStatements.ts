import type { PoolClient } from "pg"

/** How graphile-worker finds the jobs that it takes and those that it deletes, and how they are found here. */
const replacements: ReadonlyArray<readonly [before: string, after: string]> = [
  ["from j\n    where jobs.id = j.id", "where jobs.id = any(array(select id from j))"],
  ["using unnest($1::bigint[]) n(n)\nwhere id = n", "where id = any($1::bigint[])"]
]

const isConfig = (value: unknown): value is { readonly text: string } =>
  typeof value === "object" && value !== null && "text" in value && typeof value.text === "string" && !("submit" in value)

const rewrite = (argument: unknown): unknown =>
  isConfig(argument)
    ? { ...argument, text: replacements.reduce((text, [before, after]) => text.replace(before, () => after), argument.text) }
    : argument

/** For the sessions of these statements: a plan of a nearly empty table would read all of it in every later backlog. */
export const indexScans = "-c enable_seqscan=off"

/**
 * Has graphile-worker's statements look jobs up by their ids. They join the ids with the table, and a plan from a time when
 * the table was nearly empty, as it usually is, reads all jobs for each id: a fetch from a backlog of 1,500 took
 * milliseconds. A condition with `any` is looked up in the index.
 */
export const lookUpJobsById = (client: PoolClient): void => {
  const query = client.query.bind(client)
  Reflect.set(client, "query", (...args: ReadonlyArray<unknown>): unknown => Reflect.apply(query, client, args.map(rewrite)))
}
