/** Series by their selectors, with an hour of values in the notation of promtool: `0+60x61` grows by 60 a minute. */
type Series = Readonly<Record<string, string>>

/** What an alert must fire for, and what it must not. */
export interface AlertCase {
  readonly fires: Series
  readonly quiet: Series
}

/** A histogram whose values all lie between two of its bounds, sixty a minute. */
const between = (name: string, labels: string, low: number, high: number): Series => ({
  [`${name}_bucket{${labels},le="${low}"}`]: "0x61",
  [`${name}_bucket{${labels},le="${high}"}`]: "0+60x61",
  [`${name}_bucket{${labels},le="+Inf"}`]: "0+60x61"
})

const always = (series: string, fires: number, quiet: number): AlertCase => ({
  fires: { [series]: `${fires}x61` },
  quiet: { [series]: `${quiet}x61` }
})
const aMinute = (series: string, fires: number, quiet: number): AlertCase => ({
  fires: { [series]: `0+${fires}x61` },
  quiet: { [series]: `0+${quiet}x61` }
})

const requests = "http_server_request_duration_seconds"
const calls = "chat_model_call_duration_seconds_count"

export const alertCases: Readonly<Record<string, AlertCase>> = {
  ChatProcessDown: always('up{job="gemini-chat"}', 0, 1),
  ChatProcessRestarts: aMinute('process_start_time_seconds{job="gemini-chat"}', 60, 0),
  ChatDatabaseDown: always("chat_database_up", 0, 1),
  ChatDatabaseSlow: {
    fires: between("chat_database_connection_use_seconds", 'pool="a"', 1, 2.5),
    quiet: between("chat_database_connection_use_seconds", 'pool="a"', 0.25, 0.5)
  },
  ChatErrors: {
    fires: {
      [`${requests}_count{route="/a",status="503"}`]: "0+2x61",
      [`${requests}_count{route="/a",status="200"}`]: "0+98x61"
    },
    quiet: {
      [`${requests}_count{route="/a",status="429"}`]: "0+2x61",
      [`${requests}_count{route="/a",status="200"}`]: "0+98x61",
      [`${requests}_count{route="/readyz",status="503"}`]: "0+50x61"
    }
  },
  ChatSlow: {
    fires: between(requests, 'route="/user/me",waits="false"', 1, 2.5),
    quiet: between(requests, 'route="/user/me",waits="true"', 1, 2.5)
  },
  ChatOverloaded: aMinute('chat_problems_total{code="overloaded"}', 120, 6),
  ChatEventLoopBusy: aMinute("nodejs_eventloop_active_seconds_total", 58, 30),
  ChatMemoryHigh: always('process_resident_memory_bytes{job="gemini-chat"}', 1e9, 5e8),
  ChatConnectionWaits: {
    fires: between("chat_database_connection_wait_seconds", 'pool="a"', 0.25, 0.5),
    quiet: between("chat_database_connection_wait_seconds", 'pool="a"', 0.1, 0.25)
  },
  ChatConnectionsExhausted: aMinute('chat_database_connection_timeouts_total{pool="a"}', 60, 1),
  ChatStreamsNearLimit: always("chat_streams_open", 4_600, 4_400),
  ChatFlood: aMinute('chat_problems_total{code="room_busy"}', 1_800, 600),
  ChatWorkerMissing: {
    fires: { 'chat_build_info{role="api"}': "1x61" },
    quiet: { 'chat_build_info{role="all"}': "1x61" }
  },
  ChatQueueOld: {
    fires: { 'chat_queue_oldest_seconds{priority="basic"}': "31x61" },
    quiet: { 'chat_queue_oldest_seconds{priority="background"}': "800x61" }
  },
  ChatBackgroundJobsOld: {
    fires: { 'chat_queue_oldest_seconds{priority="background"}': "901x61" },
    quiet: { 'chat_queue_oldest_seconds{priority="background"}': "899x61" }
  },
  ChatJobsFailing: always('chat_queue_jobs{task="a",state="failed"}', 21, 20),
  ChatRepliesFailing: {
    fires: { 'chat_replies_total{outcome="model_unavailable"}': "0+6x61", 'chat_replies_total{outcome="completed"}': "0+94x61" },
    quiet: { 'chat_replies_total{outcome="blocked"}': "0+6x61", 'chat_replies_total{outcome="completed"}': "0+94x61" }
  },
  ChatModelErrors: {
    fires: { [`${calls}{model="a",outcome="rate_limited"}`]: "0+30x61", [`${calls}{model="a",outcome="ended"}`]: "0+70x61" },
    quiet: { [`${calls}{model="a",outcome="interrupted"}`]: "0+30x61", [`${calls}{model="a",outcome="ended"}`]: "0+70x61" }
  },
  ChatModelPaused: {
    fires: { 'chat_model_pause_seconds{model="a"}': "30x61" },
    quiet: { 'chat_model_pause_seconds{model="a"}': "30x55 0 30x5" }
  },
  ChatModelSlow: {
    fires: between("chat_model_first_piece_seconds", 'model="a"', 20, 30),
    quiet: between("chat_model_first_piece_seconds", 'model="a"', 5, 10)
  },
  ChatSpendHigh: aMinute('chat_model_cost_dollars_total{model="a"}', 1, 0.5),
  ChatCallsUnpriced: always("chat_model_calls_unpriced", 1, 0),
  ChatWebhooksPending: always("chat_webhook_oldest_pending_seconds", 901, 899),
  ChatWebhooksRefused: {
    fires: { 'chat_webhook_deliveries_total{outcome="signature_invalid"}': "0+1x61" },
    quiet: { 'chat_webhook_deliveries_total{outcome="duplicate"}': "0+1x61" }
  },
  ChatWebhooksLate: {
    fires: between("chat_webhook_lag_seconds", 'job="a"', 300, 1_800),
    quiet: between("chat_webhook_lag_seconds", 'job="a"', 1, 2)
  }
}
