import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { decideTier } from "./functions/decideTier.ts"

/** Customers, checkout attempts, subscriptions as Stripe told them, holds, and the inbox of webhooks. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // No reference to users: a number that was deleted and comes back must not pay twice.
  yield* sql`
    create table billing_customers (
      user_id uuid primary key,
      customer_id text not null unique,
      synced_at timestamptz,
      created_at timestamptz not null default now()
    )
  `
  // At most one open attempt a user; its id is Stripe's idempotency key, so a repeated call finds the same session.
  yield* sql`
    create table checkout_attempts (
      user_id uuid not null,
      id uuid not null,
      customer_id text not null,
      status text not null default 'open' check (status in ('open', 'completed', 'expired', 'failed')),
      session_id text unique,
      url text,
      claimed_at timestamptz not null default clock_timestamp(),
      expires_at timestamptz not null,
      created_at timestamptz not null default clock_timestamp(),
      primary key (user_id, id)
    )
  `
  yield* sql`create unique index checkout_attempts_open on checkout_attempts (user_id) where status = 'open'`
  yield* sql`
    create table subscriptions (
      user_id uuid not null,
      id text not null,
      customer_id text not null,
      status text not null,
      current_period_start timestamptz,
      current_period_end timestamptz,
      cancel_at timestamptz,
      cancel_at_period_end boolean not null,
      invoice_url text,
      created_at timestamptz not null,
      -- Read before Stripe was asked: an answer that is older than what is here changes nothing.
      fetched_at timestamptz not null,
      primary key (user_id, id)
    )
  `
  yield* sql`create index subscriptions_due on subscriptions (current_period_end) where status in ('active', 'trialing', 'past_due')`
  // A payment that was given back or lost in a dispute: its subscription is not Pro in its period.
  yield* sql`
    create table billing_holds (
      user_id uuid not null,
      charge_id text not null,
      reason text not null check (reason in ('refunded', 'dispute_lost')),
      subscription_id text not null,
      charged_at timestamptz not null,
      created_at timestamptz not null default now(),
      primary key (user_id, charge_id, reason)
    )
  `
  yield* sql`
    create table webhook_events (
      id text primary key,
      type text not null,
      customer_id text,
      object_id text,
      -- Of an event that names no customer but a charge: whose it is, has to be asked.
      charge_id text,
      outcome text not null check (outcome in ('pending', 'processed', 'ignored')),
      created_at timestamptz not null,
      received_at timestamptz not null default now(),
      processed_at timestamptz
    )
  `
  yield* sql`create index webhook_events_pending on webhook_events (customer_id, received_at) where outcome = 'pending'`

  yield* decideTier
})
