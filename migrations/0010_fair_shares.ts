import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { deleteChatroom } from "./functions/deleteChatroom.ts"
import { finishReply } from "./functions/finishReply.ts"
import { previousSignatures } from "./functions/previous.ts"
import { releaseReplies } from "./functions/releaseReplies.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** A bound of running replies for each user, and the priority of a reply in the queue. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // The queue's priority of a reply: 0 for Pro, 10 for Basic.
  yield* sql`alter table messages add column priority smallint not null default 10`
  yield* Effect.all([releaseReplies, sendMessage, finishReply, deleteChatroom, previousSignatures], { discard: true })
  // Made by 0007 where it ran with the previous text; no release calls them.
  yield* sql`drop function if exists send_message(uuid, uuid, uuid, uuid, text, uuid, int, int, int, text, text, interval)`
  yield* sql`
    drop function if exists finish_reply(uuid, uuid, int, text, text, text, boolean, text, text, text, int, int, int, int, int, uuid[], text)
  `
})
