import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { sendMessage } from "./functions/sendMessage.ts"

/** The replies to a question, and the replies of a room by their questions, without a scan of the room. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // `messages` takes no writes while it is built: seconds for a million rows. Where that is too long, create an index of
  // this name and definition with `concurrently` before the deploy.
  yield* sql`
    create index if not exists messages_of_question on messages (user_id, chatroom_id, reply_to, id) where reply_to is not null
  `
  yield* sendMessage
})
