import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { finishReply } from "./functions/finishReply.ts"

/** What a blocked reply was blocked for, whether its question was checked, and users' feedback to replies. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // No default needs a rewrite of the table. Feedback is a column, so that it is read and deleted with its reply.
  yield* sql`
    alter table messages
      add column error_detail jsonb,
      add column is_moderated boolean not null default false,
      add column feedback jsonb,
      add column feedback_at timestamptz
  `
  // For the operator's list. Messages without feedback are not in it, so that sends and finishes do not write to it.
  yield* sql`
    create index if not exists messages_feedback on messages (feedback_at desc, id desc) where feedback_at is not null
  `

  yield* finishReply
  yield* sql`
    drop function if exists
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, jsonb, int, int, int, uuid[], json)
  `
})
