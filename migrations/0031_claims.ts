import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { refuseClaim } from "./functions/refuseClaim.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/**
 * Workers of the previous release know neither the turns that a completion brings nor the files of a question, and would
 * answer without them. While a deploy rolls, such a reply waits for a worker of this release: a claim that does not name its
 * attempt changes nothing. The next release drops the trigger, the function and the column.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // The attempt that was claimed last by a worker that can make the reply, 0 before the first; null where every worker can.
  yield* sql`alter table messages add column claimed_attempt int`
  yield* refuseClaim
  yield* sql`
    create trigger messages_claimed before update of attempt on messages for each row
      when (new.claimed_attempt is not null and new.attempt <> old.attempt and new.claimed_attempt <> new.attempt)
      execute function refuse_claim()
  `
  yield* sendMessage
})
