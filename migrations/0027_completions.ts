import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { deleteChatroom } from "./functions/deleteChatroom.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** Questions that bring their own history (`POST /v1/chat/completions`), each in a room of its own that no list shows. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table chatrooms add column kind text not null default 'chat' check (kind in ('chat', 'completion'))`
  // Of the question of a completion: the turns before it. Null in chats.
  yield* sql`alter table messages add column input jsonb`
  // Replaces `chatrooms_list`, in which a user's completions would be read before the chats.
  yield* sql`
    create index if not exists chatrooms_listed
      on chatrooms (user_id, (archived_at is null), pinned desc, active_at desc, id desc) where kind = 'chat'
  `
  yield* sql`drop index if exists chatrooms_list`
  yield* sql`create index chatrooms_completions on chatrooms (created_at) where kind = 'completion'`
  yield* Effect.all([deleteChatroom, sendMessage, previousSignatures], { discard: true })
  yield* sql`
    drop function if exists
      send_message(uuid, uuid, uuid, uuid, text, uuid, text, int, int, int, text, jsonb, int, int, float8, bigint, int, bigint, bigint,
        text, text, interval, uuid[], jsonb)
  `
})
