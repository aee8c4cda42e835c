import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** How the model of a room thinks, and the summaries of its thoughts. A process of the previous release leaves the defaults. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`alter table chatrooms add column thinking jsonb not null default '{"level": null, "summaries": false}'`
  yield* sql`alter table messages add column thoughts text`

  yield* Effect.all([sendMessage, finishReply, previousSignatures], { discard: true })
  yield* sql`
    drop function if exists
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, jsonb, int, int, int, uuid[], json, jsonb)
  `
})
