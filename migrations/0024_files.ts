import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { fileFunctions } from "./functions/files.ts"
import { forkChatroom } from "./functions/forkChatroom.ts"
import { previousSignatures } from "./functions/previous.ts"
import { sendMessage } from "./functions/sendMessage.ts"

/** Users' files, and the questions that have them. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // What a user's files take, so that the limit is checked and taken in one statement.
  yield* sql`alter table users add column file_bytes bigint not null default 0 check (file_bytes >= 0)`
  yield* sql`
    create table files (
      user_id uuid not null references users on delete cascade,
      id uuid not null,
      name text not null,
      type text not null,
      kind text not null check (kind in ('image', 'pdf', 'audio', 'text')),
      status text not null default 'uploading' check (status in ('uploading', 'ready')),
      -- What it takes of the user's storage: while it is uploaded, what has been reserved.
      bytes int not null,
      sha256 text,
      tokens int,
      width int,
      height int,
      pages int,
      created_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
      -- When it is deleted: an upload that its process has not ended, a file that no question uses. Null once one does.
      expires_at timestamptz,
      primary key (user_id, id)
    )
  `
  yield* sql`create unique index files_content on files (user_id, sha256) where status = 'ready'`
  yield* sql`create index files_expiring on files (expires_at) where expires_at is not null`
  // No reference to files: the rows are many, and are deleted in batches (file_removals).
  yield* sql`
    create table file_chunks (
      user_id uuid not null, file_id uuid not null, no int not null, body bytea not null,
      primary key (user_id, file_id, no)
    )
  `
  // Not compressed, so that a part of a chunk is read without the rest.
  yield* sql`alter table file_chunks alter column body set storage external`
  // Files whose bytes are still stored, here or in S3, after their rows were deleted. No reference to users.
  yield* sql`create table file_removals (user_id uuid not null, file_id uuid not null, primary key (user_id, file_id))`
  yield* sql`
    create table file_uses (
      user_id uuid not null, file_id uuid not null, message_id uuid not null,
      primary key (user_id, file_id, message_id),
      foreign key (user_id, file_id) references files (user_id, id) on delete cascade
    )
  `
  // The files of a question as they were: a file that was deleted since keeps its name here.
  yield* sql`alter table messages add column attachments jsonb`

  yield* fileFunctions
  yield* sql`create trigger files_deleted after delete on files for each row execute function file_deleted()`
  // The condition keeps the deletion of other messages as cheap as it was.
  yield* sql`
    create trigger messages_deleted after delete on messages for each row when (old.attachments is not null)
    execute function message_with_files_deleted()
  `

  yield* Effect.all([sendMessage, forkChatroom, previousSignatures], { discard: true })
  yield* sql`
    drop function if exists
      send_message(uuid, uuid, uuid, uuid, text, uuid, text, int, int, int, text, jsonb, int, int, float8, bigint, int, bigint, bigint,
        text, text, interval)
  `
})
