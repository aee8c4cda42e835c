/** What happens to a call instead of its answer. */
export interface Fault {
  /**
   * `status`: an error in Stripe's envelope; `html`: an HTML page of a proxy; `json`: a JSON object without
   * `error`; `reset`: the connection is reset; `cut`: it is cut in the middle of the body; `hang`: no answer;
   * `delay`: the real answer, late.
   */
  readonly kind: "status" | "html" | "json" | "reset" | "cut" | "hang" | "delay"
  /** Of `status` (500), `html` and `json` (502). */
  readonly status?: number | undefined
  readonly type?: "api_error" | "card_error" | "idempotency_error" | "invalid_request_error" | undefined
  readonly code?: string | undefined
  readonly message?: string | undefined
  /** The body of `json`; a useless object when absent. */
  readonly body?: string | undefined
  /** The header `stripe-should-retry`, which the SDK obeys. */
  readonly shouldRetry?: boolean | undefined
  /** The delay of `delay`. */
  readonly millis?: number | undefined
  /** Whether the call takes effect and only its answer is lost; with `delay` it always does. */
  readonly afterEffect?: boolean | undefined
}

/** Breaks calls to the API. Flat, so that it can be written as a form: `kind=status&status=429&path=/v1/customers`. */
export interface FaultRule extends Fault {
  /** `GET`, `POST`, `DELETE`; any when absent. */
  readonly method?: string | undefined
  /** A prefix of the path; any when absent. */
  readonly path?: string | undefined
  /** How many matching calls succeed first; 0 when absent. */
  readonly skip?: number | undefined
  /** How many calls it breaks; 1 when absent. */
  readonly times?: number | undefined
}

/** Decides which fault hits a call: the oldest matching rule that is not used up. */
export class FaultBook {
  private rules: Array<{ readonly rule: FaultRule; skip: number; left: number }> = []

  add(rule: FaultRule) {
    this.rules.push({ rule, skip: rule.skip ?? 0, left: rule.times ?? 1 })
  }

  clear() {
    this.rules = []
  }

  take(method: string, path: string): Fault | undefined {
    const hit = this.rules.find(
      ({ left, rule }) => left > 0 && (rule.method ?? method) === method && path.startsWith(rule.path ?? "")
    )
    if (!hit) return undefined
    if (hit.skip > 0) {
      hit.skip--
      return undefined
    }
    hit.left--
    return hit.rule
  }
}
