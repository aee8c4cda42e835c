import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"

/**
 * The value of an answer in JSON. `json` and not `jsonb`: it keeps the order of the members, takes every escape of a
 * string, and does not write `1e300` as three hundred digits.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table messages add column output json`
  yield* finishReply
  yield* previousSignatures
  yield* sql`
    drop function if exists
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, jsonb, int, int, int, uuid[])
  `
})
