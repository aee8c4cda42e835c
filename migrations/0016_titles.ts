import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { recordLateCalls } from "./functions/recordLateCalls.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** Where a room's title comes from, and when it last got an automatic one. A process of the previous release makes rooms whose title stays as it is. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`
    alter table chatrooms add column title_source text not null default 'user'
      check (title_source in ('default', 'words', 'model', 'user')),
      add column titled_at timestamptz
  `
  yield* sql`update chatrooms set title_source = 'default' where title = 'New chat' and last_message_at is null`

  yield* Effect.all([sendMessage, finishReply, previousSignatures, recordLateCalls], { discard: true })
  yield* sql`
    drop function if exists send_message(uuid, uuid, uuid, uuid, text, uuid, text, int, int, int, jsonb, int, int, float8, bigint,
      bigint, text, text, interval)
  `
})
