import { define } from "./define.ts"

/**
 * A UUIDv7 that many milliseconds after another. RFC 9562, 5.7: the first 48 bits are Unix milliseconds; the rest is
 * taken from `p_rest`.
 */
export const uuidAfter = define(`
create or replace function uuid_after(p_last uuid, p_milliseconds int, p_rest uuid) returns uuid language sql immutable as $$
  select (lpad(to_hex(('x0000' || substr(replace(p_last::text, '-', ''), 1, 12))::bit(64)::bigint + p_milliseconds), 12, '0')
    || substr(replace(p_rest::text, '-', ''), 13))::uuid
$$
`)
