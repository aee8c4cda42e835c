import type { TokenUsage } from "../api/chat/Message.ts"
import type { Model, Price } from "../config/Models.ts"

/** A UTC day in milliseconds since 1970. */
const startOf = (day: string): number => Date.parse(`${day}T00:00:00Z`)

/** Whether the time (milliseconds since 1970) is on or after the model's last day. */
export const isRetired = ({ retiresAt }: Model, now: number): boolean => retiresAt !== null && now >= startOf(retiresAt)

/** The price at a time, in US dollars per million tokens: the newest that is valid by then. */
export const priceAt = ({ prices }: Model, now: number): Price | undefined =>
  prices.filter(({ from }) => startOf(from) <= now).toSorted((one, other) => startOf(other.from) - startOf(one.from))[0]

/** A call of the model that has ended. */
export interface FinishedCall {
  /** The model that was asked. */
  readonly model: string
  /** The model that answered, as Google names it. */
  readonly modelVersion: string | null
  readonly usage: TokenUsage
  /** Executed queries of Google Search. */
  readonly searches: number
}

export interface CallCost {
  /** In millionths of a US dollar; null when no price is known. */
  readonly costMicros: number | null
  /** Whether the price is that of the model that answered. */
  readonly isPriced: boolean
}

/** A version is the model's name, or begins with it and a dash: `gemini-3.8-flash-001`. */
const isVersionOf = (version: string, { id }: Model): boolean => version === id || version.startsWith(`${id}-`)

/**
 * What a call cost, by the price of the model that answered at the time it began; where that has none, by the price of the
 * model that was asked. Google counts cached tokens among the prompt's, and thoughts apart from the reply's; a thought
 * costs what a token of the reply does. A search costs `searchPrice`, in millionths of a US dollar.
 */
export const costOfCall = (
  models: ReadonlyArray<Model>,
  { model, modelVersion, searches, usage }: FinishedCall,
  startedAt: number,
  searchPrice: number
): CallCost => {
  const answering = models
    .filter((listed) => isVersionOf(modelVersion ?? model, listed))
    .toSorted((one, other) => other.id.length - one.id.length)[0]
  const asked = models.find(({ id }) => id === model)
  const exact = answering === undefined ? undefined : priceAt(answering, startedAt)
  const price = exact ?? (asked === undefined ? undefined : priceAt(asked, startedAt))
  if (price === undefined) return { costMicros: null, isPriced: false }
  const { cachedTokens, promptTokens, replyTokens, thoughtTokens, toolTokens } = usage
  // A dollar for a million tokens is a millionth of a dollar for one.
  const costMicros = Math.round(
    (Math.max(0, promptTokens - cachedTokens) + toolTokens) * price.input +
      cachedTokens * price.cached +
      (replyTokens + thoughtTokens) * price.output +
      searches * searchPrice
  )
  return { costMicros, isPriced: exact !== undefined }
}
