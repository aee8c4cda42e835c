import { Effect } from "effect"
import { define } from "./define.ts"

/**
 * The one place where a tier is decided, from rows alone; an unknown status is Basic. `p_plans` are the plans that are sold,
 * from the lowest to the highest; a subscription to another one is worth nothing. A plan lasts without an end while Stripe
 * says so, and seven days into an unpaid period. `users.plans` gets the best plan with its end, and after it each lower one
 * that lasts longer, so that the tier is right at every later time; `users.pro_until` gets the last of these ends. Returns
 * whether they changed.
 *
 * With the user alone it is what processes of the previous release call, which know one plan.
 */
export const decideTier = Effect.andThen(
  define(`
create or replace function decide_tier(p_user uuid, p_plans text[]) returns boolean language plpgsql as $$
declare
  v_until timestamptz; v_plans jsonb; v_changed boolean;
begin
  -- Of two syncs of one user the second decides from what the first has stored.
  perform 1 from users u where u.id = p_user for update;
  with worth as (
    select coalesce(s.plan, 'pro') as plan, array_position(p_plans, coalesce(s.plan, 'pro')) as rank, max(case s.status
        when 'active' then timestamptz '9999-12-31 00:00:00Z'
        when 'trialing' then timestamptz '9999-12-31 00:00:00Z'
        when 'past_due' then s.current_period_start + interval '7 days' end) as until
      from subscriptions s
      where s.user_id = p_user and not exists (
        select 1 from billing_holds h where h.user_id = s.user_id and h.subscription_id = s.id
          and h.charged_at >= s.current_period_start - interval '5 minutes' and h.charged_at < s.current_period_end)
      group by 1
  ), counted as (
    select w.* from worth w where w.rank is not null and w.until is not null
      and not exists (select from worth better where better.rank > w.rank and better.until >= w.until)
  )
  select max(c.until), jsonb_agg(jsonb_build_object('plan', c.plan,
      'until', to_char(c.until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) order by c.rank desc)
    into v_until, v_plans from counted c;
  update users u set pro_until = v_until, plans = v_plans
    where u.id = p_user and (u.pro_until is distinct from v_until or u.plans is distinct from v_plans);
  v_changed := found;
  if v_changed then
    perform pg_notify('changed', 'sessions:' || p_user);
  end if;
  return v_changed;
end $$
`),
  define(`
create or replace function decide_tier(p_user uuid) returns boolean language sql as $$
  select decide_tier(p_user, array['pro'])
$$
`)
)
