import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** The tools of a room, and what a reply that was made with tools relies on. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table chatrooms add column tools jsonb not null default '[]'`
  yield* sql`alter table messages add column grounding jsonb`
  // Not compressed, so that `pg_column_size` tells its bytes without reading it: a page of messages is bounded by them.
  yield* sql`alter table messages alter column grounding set storage external`

  yield* Effect.all([sendMessage, finishReply, previousSignatures], { discard: true })
  yield* sql`
    drop function if exists
      send_message(uuid, uuid, uuid, uuid, text, uuid, text, int, int, int, text, jsonb, int, int, float8, bigint, bigint, text,
        text, interval),
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, jsonb, int, int, int,
        uuid[], json, text, jsonb)
  `
})
