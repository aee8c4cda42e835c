import { isRecord } from "./Body.ts"
import { invalid } from "./GoogleError.ts"

const LEVELS = ["MINIMAL", "LOW", "MEDIUM", "HIGH"]

/** Models that cannot think at the least level. */
const WITHOUT_MINIMAL = /^gemini-(?:3\.[78]-flash|3\.1-pro)/

/** Models of the second generation have budgets of tokens and no levels. */
const levelsOf = (model: string): ReadonlyArray<string> => {
  if (model.startsWith("gemini-2")) return []
  return WITHOUT_MINIMAL.test(model) ? LEVELS.slice(1) : LEVELS
}

/** Whether the answer shows its thoughts. Throws Google's 400: https://ai.google.dev/api/generate-content#ThinkingConfig */
export const readThinking = (generationConfig: unknown, model: string): boolean => {
  const config = isRecord(generationConfig) ? generationConfig["thinkingConfig"] : undefined
  if (config === undefined) return false
  if (!isRecord(config)) throw invalid("Invalid value at 'generation_config.thinking_config'.")
  const { includeThoughts = false, thinkingBudget, thinkingLevel } = config
  if (typeof includeThoughts !== "boolean") {
    throw invalid("Invalid value at 'generation_config.thinking_config.include_thoughts' (TYPE_BOOL).")
  }
  if (thinkingLevel === undefined) return includeThoughts
  if (thinkingBudget !== undefined) throw invalid("You can only set only one of thinking budget and thinking level.")
  if (typeof thinkingLevel !== "string" || !LEVELS.includes(thinkingLevel)) {
    throw invalid("Invalid value at 'generation_config.thinking_config.thinking_level' (TYPE_ENUM).")
  }
  if (levelsOf(model).includes(thinkingLevel)) return includeThoughts
  throw invalid(`Thinking level ${thinkingLevel} is not supported for this model. Please retry with other thinking level.`)
}
