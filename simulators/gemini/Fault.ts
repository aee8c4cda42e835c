/** A fault or an unusual end of one answer. `after` is the number of chunks sent before it. */
export type Fault =
  /**
   * An HTTP error in Google's format. `retryDelaySeconds` adds a RetryInfo, `perDay` names a daily quota, `inList` puts
   * it into a list of one.
   */
  | {
      readonly kind: "status"
      readonly status: number
      readonly retryDelaySeconds?: number
      readonly perDay?: boolean
      readonly inList?: boolean
    }
  /** A 502 with an HTML page, as from a proxy in front of Google. */
  | { readonly kind: "html" }
  /** The connection is reset before any header. */
  | { readonly kind: "reset" }
  /** No answer, ever. */
  | { readonly kind: "hang" }
  /** The prompt is refused: no candidates, `promptFeedback.blockReason` (default SAFETY). */
  | { readonly kind: "blocked"; readonly reason?: string }
  /** The reply ends with another finish reason than STOP, after some chunks of text (default 0: no text). */
  | { readonly kind: "finish"; readonly reason: string; readonly after?: number }
  /** STOP without text. */
  | { readonly kind: "empty" }
  /** A text that is not JSON, and one that fits no schema. */
  | { readonly kind: "badjson" | "notfit" }
  /** A normal reply with a thought before its text. */
  | { readonly kind: "thoughts" }
  | BreakingFault

/** A fault that breaks the stream after some chunks (default 1). */
export type BreakingFault =
  | { readonly kind: BreakingKind; readonly after?: number }
  /** An error event; `status` is 503 by default. */
  | { readonly kind: "error"; readonly after?: number; readonly status?: number }

/**
 * - `cut`: the stream ends normally, without a finish reason
 * - `drop`: the connection is closed in the middle of the body
 * - `stall`: nothing more is sent and the connection stays open
 * - `garbage`: an event with half a JSON document, then the stream ends
 * - `truncate`: the stream ends in the middle of an event
 */
export const BREAKING_KINDS = ["cut", "drop", "stall", "garbage", "truncate"] as const
type BreakingKind = (typeof BREAKING_KINDS)[number]

export const isBreaking = (fault: Fault): fault is BreakingFault =>
  fault.kind === "error" || BREAKING_KINDS.some((kind) => kind === fault.kind)

export const isFaultKind = (kind: unknown): kind is Fault["kind"] =>
  [
    "status",
    "html",
    "reset",
    "hang",
    "blocked",
    "finish",
    "empty",
    "badjson",
    "notfit",
    "thoughts",
    "error",
    ...BREAKING_KINDS
  ].some((known) => known === kind)

/** A fault, and how many requests it hits. */
export interface LimitedFault {
  readonly fault: Fault
  readonly times: number
}

/** A fault for prompts that contain `match`, sent to `model`; an absent field matches all. */
export interface FaultRule {
  readonly match?: string
  readonly model?: string
  /** How many requests it hits; unlimited when absent. */
  readonly times?: number
  readonly fault: Fault
}
