import type { SqlClient, Statement } from "effect/sql"

/** A text in the composed form (NFC), so that both spellings of one word match. Most texts are in it, which is quick to see. */
export const composed = (sql: SqlClient.SqlClient, text: Statement.Fragment) =>
  sql`case when ${text} is nfc normalized then ${text} else normalize(${text}, nfc) end`
