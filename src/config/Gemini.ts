import { Effect, Redacted } from "effect"
import type { Environment } from "./Environment.ts"
import { choice, fail, optionalSecret, optionalUrl, text } from "./Reading.ts"

/** How Google's API is reached, and what it blocks. */
export interface GeminiSettings {
  readonly apiKey: Redacted.Redacted
  readonly baseUrl: string | undefined
  readonly apiVersion: string
  readonly safetyThreshold: "default" | "off" | "high" | "medium" | "low"
}

export const gemini = Effect.fnUntraced(function* (environment: Environment) {
  const apiKey = yield* optionalSecret("GEMINI_API_KEY")
  if (apiKey === undefined && environment === "production") return yield* fail("GEMINI_API_KEY", "is required")
  return {
    apiKey: apiKey ?? Redacted.make("unset"),
    baseUrl: yield* optionalUrl("GEMINI_BASE_URL", ["http:", "https:"]),
    apiVersion: yield* text("GEMINI_API_VERSION"),
    safetyThreshold: yield* choice("SAFETY_THRESHOLD", ["default", "off", "high", "medium", "low"])
  }
})
