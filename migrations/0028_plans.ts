import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { decideTier } from "./functions/decideTier.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"
import { tierOf } from "./functions/tierOf.ts"

/**
 * Several plans, trials and promotion codes. Processes of the previous release write rows without the new columns, which
 * mean what they meant: the plan `pro` at its price.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // The paid plans from the best one down, each with its end: [{"plan": "pro", "until": "…"}].
  yield* sql`alter table users add column plans jsonb`
  yield* sql`
    alter table subscriptions
      -- By the price, as the settings say; null is \`pro\`.
      add column plan text,
      add column billing_interval text,
      add column trial_end timestamptz,
      add column discount jsonb
  `
  // What a checkout was opened for: another request gets another one.
  yield* sql`
    alter table checkout_attempts
      add column plan text,
      add column price_id text,
      add column promotion_code text,
      add column trial_days int not null default 0
  `
  // Numbers that have had a trial. By the number's key, so that a new account of the number gets no second one.
  yield* sql`create table trial_uses (quota_key text primary key, started_at timestamptz not null default now())`
  yield* Effect.all([tierOf, decideTier, sendMessage, previousSignatures], { discard: true })
})
