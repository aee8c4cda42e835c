import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { deleteMessage } from "./functions/deleteMessage.ts"
import { fillBranches } from "./functions/fillBranches.ts"
import { finishReply } from "./functions/finishReply.ts"
import { followedBy } from "./functions/followedBy.ts"
import { forkChatroom } from "./functions/forkChatroom.ts"
import { messagesUnder } from "./functions/messagesUnder.ts"
import { newestLeaf } from "./functions/newestLeaf.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"
import { standOn } from "./functions/standOn.ts"

/**
 * A room's questions and replies as a tree, and the branch on which the room stands. Rooms from before are filled by the
 * task `fill_branches`, some at a time, and a room that is asked in before its turn is filled by `send_message`.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // Of a question: the reply that it follows, null for a first one. The parent of a reply is its question (`reply_to`).
  yield* sql`alter table messages add column if not exists parent_id uuid`
  // The message on which the room stands; null in an empty room, and until a room from before is filled.
  yield* sql`alter table chatrooms add column head_id uuid`
  // `messages` takes no reads and writes while it is built: one to two seconds for a million rows. Where that is too long, add
  // the column and create an index of this name and definition with `concurrently` before the deploy.
  yield* sql`
    create index if not exists messages_of_parent on messages (user_id, chatroom_id, parent_id, id) where role = 'user'
  `
  yield* Effect.all(
    [
      fillBranches,
      followedBy,
      newestLeaf,
      messagesUnder,
      standOn,
      deleteMessage,
      forkChatroom,
      sendMessage,
      finishReply,
      previousSignatures
    ],
    { discard: true }
  )
  yield* sql`
    select id from graphile_worker.add_job('fill_branches', '{}', job_key => 'fill_branches')
    where exists (select from chatrooms where last_message_at is not null)
  `
})
