import { define } from "./define.ts"

/** The trigger that keeps workers of the previous release from replies that they would make without a part of the question. */
export const refuseClaim = define(`
create or replace function refuse_claim() returns trigger language plpgsql as $$
begin
  return null;
end $$
`)
