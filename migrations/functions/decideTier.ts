import { define } from "./define.ts"

/**
 * The one place where a tier is decided, from rows alone; an unknown status is Basic. Pro lasts until the time it
 * stores in `users.pro_until`: without an end while Stripe says so, and seven days into an unpaid period. Returns
 * whether it changed.
 */
export const decideTier = define(`
create or replace function decide_tier(p_user uuid) returns boolean language plpgsql as $$
declare
  v_until timestamptz; v_changed boolean;
begin
  -- Of two syncs of one user the second decides from what the first has stored.
  perform 1 from users u where u.id = p_user for update;
  select max(case s.status
      when 'active' then timestamptz '9999-12-31 00:00:00Z'
      when 'trialing' then timestamptz '9999-12-31 00:00:00Z'
      when 'past_due' then s.current_period_start + interval '7 days' end)
    into v_until
    from subscriptions s
    where s.user_id = p_user and not exists (
      select 1 from billing_holds h where h.user_id = s.user_id and h.subscription_id = s.id
        and h.charged_at >= s.current_period_start - interval '5 minutes' and h.charged_at < s.current_period_end);
  update users u set pro_until = v_until where u.id = p_user and u.pro_until is distinct from v_until;
  v_changed := found;
  if v_changed then
    perform pg_notify('changed', 'sessions:' || p_user);
  end if;
  return v_changed;
end $$
`)
