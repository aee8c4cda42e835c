import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { deleteMessage } from "./functions/deleteMessage.ts"
import { finishReply } from "./functions/finishReply.ts"
import { forkChatroom } from "./functions/forkChatroom.ts"
import { previousSignatures } from "./functions/previous.ts"
import { recordLateCalls } from "./functions/recordLateCalls.ts"

/** Summaries of what long rooms no longer send to the model. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // The user's choice; null for the server's (ROOM_SUMMARIES).
  yield* sql`alter table chatrooms add column summary boolean`
  yield* sql`
    create table room_summaries (
      user_id uuid not null,
      chatroom_id uuid not null,
      -- The last reply that the summary covers, and the first question of its branch. Null until there is a summary.
      upto_id uuid,
      first_id uuid,
      body text,
      tokens int,
      model text,
      created_at timestamptz,
      -- Of the job that makes the next summary: what it has made is stored only while this is its claim.
      claim uuid,
      -- Jobs since the last summary.
      tries smallint not null default 0,
      -- No job begins before.
      rests_until timestamptz,
      primary key (user_id, chatroom_id),
      foreign key (user_id, chatroom_id) references chatrooms (user_id, id) on delete cascade,
      check (num_nulls(upto_id, first_id, body, tokens, model, created_at) in (0, 6))
    )
  `
  // Of a reply: the summary that its prompt had.
  yield* sql`alter table messages add column context_summary jsonb`

  yield* Effect.all([deleteMessage, forkChatroom, finishReply, previousSignatures, recordLateCalls], { discard: true })
  yield* sql`
    drop function if exists
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, jsonb, int, int, int,
        uuid[], json, text, jsonb, jsonb)
  `
})
