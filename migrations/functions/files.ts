import { Effect } from "effect"
import { define } from "./define.ts"

/** A file that is deleted, whichever way, gives its storage back, and its bytes are removed by a task. */
const fileDeleted = define(`
create or replace function file_deleted() returns trigger language plpgsql as $$
begin
  update users u set file_bytes = u.file_bytes - old.bytes where u.id = old.user_id;
  insert into file_removals (user_id, file_id) values (old.user_id, old.id) on conflict do nothing;
  return null;
end $$
`)

/** A used file is deleted with its last question, however that is deleted. */
const messageWithFilesDeleted = define(`
create or replace function message_with_files_deleted() returns trigger language plpgsql as $$
declare
  v_ids uuid[] := array(select (a ->> 'id')::uuid from jsonb_array_elements(old.attachments) a);
begin
  delete from file_uses u where u.user_id = old.user_id and u.file_id = any(v_ids) and u.message_id = old.id;
  delete from files f where f.user_id = old.user_id and f.id = any(v_ids) and f.expires_at is null
    and not exists (select from file_uses u where u.user_id = f.user_id and u.file_id = f.id);
  return null;
end $$
`)

/** A question's files as clients see them. */
const showAttachments = define(`
create or replace function show_attachments(p_user uuid, p_attachments jsonb) returns jsonb language sql stable as $$
  select jsonb_agg(jsonb_build_object('id', a -> 'id', 'name', a -> 'name', 'type', a -> 'type', 'bytes', a -> 'bytes',
      'deleted', f.id is null) order by position)
    from jsonb_array_elements(p_attachments) with ordinality as given (a, position)
    left join files f on f.user_id = p_user and f.id = (a ->> 'id')::uuid
$$
`)

/** The functions of files. Every deletion of files happens under the lock of their user, as `send_message` does. */
export const fileFunctions = Effect.all([fileDeleted, messageWithFilesDeleted, showAttachments], { discard: true })
