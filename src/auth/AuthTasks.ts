import { Effect } from "effect"
import { makeForgetTask } from "../queue/ForgetTask.ts"

/** Events of one user that are kept: the newest. */
const maximumEvents = 1_000

/** An event that has `maximumEvents` newer ones of its user. Only users with more events are looked at. */
const isBeyondMaximum = `(user_id, id) in (
  select e.user_id, e.id from (select user_id from auth_events group by user_id having count(*) > ${maximumEvents}) as u,
    lateral (select user_id, id from auth_events where user_id = u.user_id order by id desc offset ${maximumEvents}) as e
)`

/**
 * What accounts no longer need: codes and allowances a day after their end, ended sessions after a day, expired ones
 * and expired API keys after thirty days, events after a year, and users who never proved their number after a week.
 */
export const makeAuthTasks = Effect.all([
  makeForgetTask("otp_challenges", "expires_at < now() - interval '1 day'"),
  makeForgetTask("throttles", "tat < now() - interval '1 day'"),
  makeForgetTask("sessions", "expires_at < now() - interval '30 days' or revoked_at < now() - interval '1 day'"),
  makeForgetTask("api_keys", "expires_at < now() - interval '30 days'"),
  makeForgetTask("auth_events", `at < now() - interval '365 days' or ${isBeyondMaximum}`),
  makeForgetTask("users", "status = 'pending' and coalesce(pending_since, created_at) < now() - interval '7 days'")
])
