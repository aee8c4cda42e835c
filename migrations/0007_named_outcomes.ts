import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { authEventsAreFinal } from "./functions/authEventsAreFinal.ts"
import { decideTier } from "./functions/decideTier.ts"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"
import { takeThrottles } from "./functions/takeThrottles.ts"
import { uuidAfter } from "./functions/uuidAfter.ts"

/**
 * `send_message` and `finish_reply` with named parameters and named outcomes; the index of unfinished replies goes by
 * `completed_at`.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // Every function once more, so that a database that has run 0001 to 0006 has the texts of an empty one.
  yield* Effect.all([uuidAfter, sendMessage, finishReply, previousSignatures, decideTier, authEventsAreFinal, takeThrottles], {
    discard: true
  })

  // By `completed_at`, so that a change of `status` alone (a claim, a retry) writes no index entry. Dropped first: that
  // takes the stronger lock of the table, and taking it second would deadlock with a send in progress. The previous
  // release's sweep does not match the new predicate, and scans the table until its processes are gone.
  yield* sql`drop index messages_unfinished`
  yield* sql`create index messages_unfinished on messages (user_id, chatroom_id, id) where completed_at is null`
})
