import { isRecord } from "./Body.ts"

/** What Google would have billed for one call. */
export interface Bill {
  readonly modelVersion: string
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly toolTokens: number
  readonly replyTokens: number
  readonly thoughtTokens: number
  readonly searches: number
}

const countOf = (value: unknown): number => (typeof value === "number" ? value : 0)

const searchesOf = (candidates: unknown): number => {
  const candidate: unknown = Array.isArray(candidates) ? candidates[0] : undefined
  const grounding = isRecord(candidate) ? candidate["groundingMetadata"] : undefined
  const queries = isRecord(grounding) ? grounding["webSearchQueries"] : undefined
  return Array.isArray(queries) ? queries.length : 0
}

/** The bill after one more response of the call: each response has the running totals of tokens. */
export const billOf = (response: object, before: Bill | null): Bill | null => {
  if (!isRecord(response)) return before
  const { candidates, modelVersion, usageMetadata: usage } = response
  if (!isRecord(usage)) return before
  return {
    modelVersion: String(modelVersion),
    promptTokens: countOf(usage["promptTokenCount"]),
    cachedTokens: countOf(usage["cachedContentTokenCount"]),
    toolTokens: countOf(usage["toolUsePromptTokenCount"]),
    replyTokens: countOf(usage["candidatesTokenCount"]),
    thoughtTokens: countOf(usage["thoughtsTokenCount"]),
    searches: Math.max(before?.searches ?? 0, searchesOf(candidates))
  }
}
