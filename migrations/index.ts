import m0001 from "./0001_accounts.ts"
import m0002 from "./0002_chat.ts"
import m0003 from "./0003_replies.ts"
import m0004 from "./0004_billing.ts"
import m0005 from "./0005_accounts_complete.ts"
import m0006 from "./0006_throttles_at_once.ts"
import m0007 from "./0007_named_outcomes.ts"
import m0008 from "./0008_worker_locks.ts"
import m0009 from "./0009_joined_challenges.ts"
import m0010 from "./0010_fair_shares.ts"
import m0011 from "./0011_refresh_retries.ts"
import m0012 from "./0012_account_deletion.ts"
import m0013 from "./0013_bounded_reads.ts"
import m0014 from "./0014_models_and_money.ts"
import m0015 from "./0015_json_output.ts"
import m0016 from "./0016_titles.ts"
import m0017 from "./0017_safety.ts"
import m0018 from "./0018_thinking.ts"
import m0019 from "./0019_send.ts"
import m0020 from "./0020_search.ts"
import m0021 from "./0021_shares.ts"
import m0022 from "./0022_api_keys.ts"
import m0023 from "./0023_branches.ts"
import m0024 from "./0024_files.ts"
import m0025 from "./0025_summaries.ts"
import m0026 from "./0026_shared_attachments.ts"
import m0027 from "./0027_completions.ts"
import m0028 from "./0028_plans.ts"
import m0029 from "./0029_chatroom_ids.ts"
import m0030 from "./0030_failover.ts"
import m0031 from "./0031_claims.ts"
import m0032 from "./0032_searches_counted.ts"

/** Every migration, in order. Forward only: an applied one is never edited, a new one mends it. */
export const migrations = {
  "0001_accounts": m0001,
  "0002_chat": m0002,
  "0003_replies": m0003,
  "0004_billing": m0004,
  "0005_accounts_complete": m0005,
  "0006_throttles_at_once": m0006,
  "0007_named_outcomes": m0007,
  "0008_worker_locks": m0008,
  "0009_joined_challenges": m0009,
  "0010_fair_shares": m0010,
  "0011_refresh_retries": m0011,
  "0012_account_deletion": m0012,
  "0013_bounded_reads": m0013,
  "0014_models_and_money": m0014,
  "0015_json_output": m0015,
  "0016_titles": m0016,
  "0017_safety": m0017,
  "0018_thinking": m0018,
  "0019_send": m0019,
  "0020_search": m0020,
  "0021_shares": m0021,
  "0022_api_keys": m0022,
  "0023_branches": m0023,
  "0024_files": m0024,
  "0025_summaries": m0025,
  "0026_shared_attachments": m0026,
  "0027_completions": m0027,
  "0028_plans": m0028,
  "0029_chatroom_ids": m0029,
  "0030_failover": m0030,
  "0031_claims": m0031,
  "0032_searches_counted": m0032
}
