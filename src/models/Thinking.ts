import type { Tier } from "../api/auth/User.ts"
import { defaultThinking, type Thinking, type ThinkingInput } from "../api/chat/Thinking.ts"
import type { ThinkingLevel } from "../api/models/ModelsApi.ts"
import { listFor, listForAny, type Model, valueFor } from "../config/Models.ts"

type Level = typeof ThinkingLevel.Type

/** From the least thinking to the most. */
const allLevels = ["minimal", "low", "medium", "high"] as const

/** Tokens that thoughts may take, from Google's table of levels and budgets: https://ai.google.dev/gemini-api/docs/openai */
const usualTokens: Readonly<Record<Level, number>> = { minimal: 512, low: 1_024, medium: 8_192, high: 24_576 }

/** The levels that users of the tier may choose. */
export const levelsFor = ({ thinking }: Model, tier: Tier): ReadonlyArray<Level> =>
  thinking === null ? [] : listFor(thinking.levels, tier)

/** The least thinking that a model has, whoever may choose it. */
export const lowestLevel = (model: Model): Level | undefined => {
  const known = new Set(model.thinking === null ? [] : listForAny(model.thinking.levels))
  return allLevels.find((level) => known.has(level))
}

/** Whether users of the tier may choose the level; null is the model's default. */
export const hasLevel = (model: Model, tier: Tier, level: Level | null): boolean =>
  level === null || levelsFor(model, tier).includes(level)

/** What is set, and where it says nothing what was set before. */
export const mergeThinking = (before: Thinking, set: ThinkingInput | undefined): Thinking => ({
  level: set?.level === undefined ? before.level : set.level,
  summaries: set?.summaries ?? before.summaries
})

/** As a model can be asked for it. A level that the room has from another model or tier is that model's default. */
export const thinkingFor = (model: Model, tier: Tier, thinking: Thinking): Thinking =>
  model.thinking === null
    ? defaultThinking
    : { level: hasLevel(model, tier, thinking.level) ? thinking.level : null, summaries: thinking.summaries }

const tokensAt = ({ thinking }: Model, level: Level | null): number =>
  level === null ? 0 : (thinking?.tokens?.[level] ?? usualTokens[level])

/**
 * The most tokens of an answer. Thoughts count among them, so a level above the default has more, as otherwise no token
 * might be left for the text.
 */
export const outputTokens = (model: Model, tier: Tier, level: Level | null): number => {
  const beyondDefault = level === null ? 0 : tokensAt(model, level) - tokensAt(model, model.thinking?.default ?? null)
  return valueFor(model.maxOutputTokens, tier) + Math.max(0, beyondDefault)
}
