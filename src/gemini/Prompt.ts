import type { ResponseFormat } from "../api/chat/Settings.ts"
import type { ThinkingLevel, Tool } from "../api/models/ModelsApi.ts"
import type { PromptFile } from "./PromptFile.ts"

/** A turn of a conversation, as the model gets it. */
export interface Turn {
  readonly role: "user" | "model"
  /** Empty only beside files. */
  readonly text: string
  /** Before the text. */
  readonly files?: ReadonlyArray<PromptFile> | undefined
}

/** What a call asks the model. */
export interface Prompt {
  readonly model: string
  readonly systemPrompt: string | null
  readonly temperature: number | null
  readonly topP?: number | undefined
  /** Texts before which the answer ends: at most five. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** Tokens of the answer, thoughts included. */
  readonly maxOutputTokens: number
  readonly responseFormat?: ResponseFormat | undefined
  readonly tools?: ReadonlyArray<Tool> | undefined
  /** Google's default when it is absent. */
  readonly thinkingLevel?: typeof ThinkingLevel.Type | undefined
  /** Whether the answer has summaries of the model's thoughts. */
  readonly includeThoughts?: boolean | undefined
  /** The roles alternate; the first and the last turn are the user's. */
  readonly turns: ReadonlyArray<Turn>
}
