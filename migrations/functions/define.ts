import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Makes or replaces an SQL function. Each function has one text, in a file of this folder.
 *
 * - The numbered migration that introduced a function runs its file, so an empty database gets today's text. A database
 *   that has run that number gets a change only by a new number that runs the file again: an edit comes with one.
 * - While a deploy rolls, processes of the previous release call the functions as they knew them. A changed signature or
 *   result is therefore a new name or overload, and the old one stays for one release as a wrapper (`previous.ts`). The
 *   release after that drops it.
 * - A function of many parameters is called in named notation, has no defaults (a default would let a call of the
 *   previous signature match both), and returns its outcome as `jsonb` with every case named.
 * - A numbered migration never calls these functions: it may meet any later text of them.
 * - plpgsql looks up the tables of its statements when they run, but the types of its variables at once: a row of a
 *   table that a later number makes is declared `record`. A function in SQL is checked whole when it is made.
 */
export const define = (statement: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement))
