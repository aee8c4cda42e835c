import { define } from "./define.ts"

/** The trigger that keeps the history of an account append-only. */
export const authEventsAreFinal = define(`
create or replace function auth_events_are_final() returns trigger language plpgsql as $$
begin
  raise exception 'auth_events are append-only';
end $$
`)
