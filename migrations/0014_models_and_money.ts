import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { deleteChatroom } from "./functions/deleteChatroom.ts"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { recordCalls } from "./functions/recordCalls.ts"
import { recordLateCalls } from "./functions/recordLateCalls.ts"
import { releaseReservations } from "./functions/releaseReservations.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** The settings of a reply as they were accepted, the ledger of the model's calls, and budgets of money. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // Changes with each change of a setting that an accepted question takes over.
  yield* sql`alter table chatrooms add column settings_version int not null default 0`
  // Bytes of questions and answers, for estimates. Null in older rooms, which count as full.
  yield* sql`alter table chatrooms add column text_bytes bigint`
  yield* sql`alter table chatrooms alter column text_bytes set default 0`

  yield* sql`
    alter table messages
      add column settings jsonb,
      add column tool_tokens int,
      add column cost_micros bigint,
      add column reserved_micros bigint not null default 0
  `
  yield* sql`
    alter table usage_daily
      add column thought_tokens bigint not null default 0,
      add column cached_tokens bigint not null default 0,
      add column tool_tokens bigint not null default 0,
      add column searches bigint not null default 0,
      add column cost_micros bigint not null default 0,
      add column reserved_micros bigint not null default 0
  `
  // For the sums of the deployment's day.
  yield* sql`create index usage_daily_day on usage_daily (day)`

  // One row for each request that the model has answered, however it ended. Costs are millionths of a US dollar.
  yield* sql`
    create table model_calls (
      user_id uuid not null references users on delete cascade,
      id uuid not null,
      reply_id uuid not null,
      attempt int not null,
      kind text not null check (kind in ('reply', 'title', 'summary')),
      tier text not null,
      model text not null,
      model_version text,
      prompt_tokens int not null,
      cached_tokens int not null,
      tool_tokens int not null,
      reply_tokens int not null,
      thought_tokens int not null,
      searches int not null,
      cost_micros bigint,
      is_priced boolean not null,
      is_estimated boolean not null,
      at timestamptz not null default clock_timestamp(),
      primary key (user_id, id)
    )
  `
  yield* sql`create index model_calls_at on model_calls (at)`

  yield* Effect.all(
    [recordCalls, recordLateCalls, releaseReservations, sendMessage, finishReply, deleteChatroom, previousSignatures],
    { discard: true }
  )
  yield* sql`
    drop function if exists
      send_message(uuid, uuid, uuid, uuid, text, uuid, int, int, int, int, int, text, text, interval),
      finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, int, int, uuid[], text)
  `
})
