import type pg from "pg"

/** The position of the log of Postgres, in bytes: the difference of two is what was written between them. */
export const logPosition = async (database: pg.Client): Promise<number> => {
  const { rows } = await database.query<{ bytes: string }>("select pg_current_wal_insert_lsn() - '0/0' as bytes")
  return Number(rows[0]?.bytes)
}
