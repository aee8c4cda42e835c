import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Links under which anyone can read a part of a room. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    create table shares (
      user_id uuid not null,
      id uuid not null,
      chatroom_id uuid not null,
      -- The last message that is shown. What was asked or answered later is not.
      up_to uuid not null,
      title text not null,
      -- SHA-256 of the link's token, which is stored nowhere.
      token_hash text not null,
      views int not null default 0,
      created_at timestamptz not null,
      expires_at timestamptz,
      revoked_at timestamptz,
      primary key (user_id, id),
      foreign key (user_id, chatroom_id) references chatrooms (user_id, id) on delete cascade
    )
  `
  yield* sql`create unique index shares_token on shares (token_hash)`
  yield* sql`create index shares_of_room on shares (user_id, chatroom_id)`
})
