import type { Fault, FaultRule, LimitedFault } from "./Fault.ts"

/** For how many prompts the number of hits is kept, for `times`. */
const REMEMBERED_PROMPTS = 20_000

/** Decides which fault a request gets, if any: from the rules first, then from the prompt's magic words. */
export class FaultBook {
  private rules: Array<{ readonly rule: FaultRule; left: number }> = []
  private readonly hits = new Map<string, number>()

  add(rule: FaultRule) {
    this.rules.push({ rule, left: rule.times ?? Infinity })
  }

  clearRules() {
    this.rules = []
  }

  reset() {
    this.rules = []
    this.hits.clear()
  }

  /** Returns the fault for this request and counts it as used. */
  take(prompt: string, model: string, own: ReadonlyArray<LimitedFault>): Fault | undefined {
    const hit = this.rules.find(
      ({ left, rule }) => left > 0 && (rule.model ?? model) === model && prompt.includes(rule.match ?? "")
    )
    if (hit) {
      hit.left--
      return hit.rule.fault
    }
    return this.takeOwn(prompt, own)
  }

  private takeOwn(prompt: string, own: ReadonlyArray<LimitedFault>): Fault | undefined {
    if (own.length === 0) return undefined
    const before = this.hits.get(prompt) ?? 0
    let limit = 0
    for (const { fault, times } of own) {
      limit += times
      if (before < limit) {
        if (limit < Infinity) this.remember(prompt, before + 1)
        return fault
      }
    }
    return undefined
  }

  private remember(prompt: string, hits: number) {
    this.hits.set(prompt, hits)
    if (this.hits.size <= REMEMBERED_PROMPTS) return
    const [oldest] = this.hits.keys()
    if (oldest !== undefined) this.hits.delete(oldest)
  }
}
