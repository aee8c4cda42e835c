import {
  type Content,
  type GenerateContentParameters,
  HarmBlockThreshold,
  HarmCategory,
  type SafetySetting,
  type ThinkingConfig,
  ThinkingLevel,
  type ToolListUnion
} from "@google/genai"
import { Effect } from "effect"
import type { ResponseFormat } from "../api/chat/Settings.ts"
import type { Tool } from "../api/models/ModelsApi.ts"
import type { Settings } from "../config/Settings.ts"
import type { Prompt } from "./Prompt.ts"
import { partsOf, type SentBytes } from "./PromptFile.ts"

const thinkingLevels: Record<NonNullable<Prompt["thinkingLevel"]>, ThinkingLevel> = {
  minimal: ThinkingLevel.MINIMAL,
  low: ThinkingLevel.LOW,
  medium: ThinkingLevel.MEDIUM,
  high: ThinkingLevel.HIGH
}

const jsonOf = ({ schema }: ResponseFormat) => ({
  responseMimeType: "application/json",
  ...(schema === undefined ? {} : { responseJsonSchema: schema })
})

/** A list of objects with one tool each, as Google documents it. */
const toolsOf = (tools: ReadonlyArray<Tool>): ToolListUnion =>
  tools.map((tool) => (tool === "search" ? { googleSearch: {} } : { urlContext: {} }))

const thresholds = {
  off: HarmBlockThreshold.OFF,
  high: HarmBlockThreshold.BLOCK_ONLY_HIGH,
  medium: HarmBlockThreshold.BLOCK_MEDIUM_AND_ABOVE,
  low: HarmBlockThreshold.BLOCK_LOW_AND_ABOVE
} as const

/** Undefined for the model's own default. */
export const safetySettingsOf = (level: Settings["gemini"]["safetyThreshold"]): Array<SafetySetting> | undefined =>
  level === "default"
    ? undefined
    : [
        HarmCategory.HARM_CATEGORY_HARASSMENT,
        HarmCategory.HARM_CATEGORY_HATE_SPEECH,
        HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
        HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT
      ].map((category) => ({ category, threshold: thresholds[level] }))

/** A level is never sent together with a budget of tokens, which Google refuses. */
const thinkingConfigOf = ({ includeThoughts = false, thinkingLevel }: Prompt): { thinkingConfig?: ThinkingConfig } => {
  if (thinkingLevel === undefined && !includeThoughts) return {}
  return {
    thinkingConfig: {
      ...(thinkingLevel === undefined ? {} : { thinkingLevel: thinkingLevels[thinkingLevel] }),
      ...(includeThoughts ? { includeThoughts } : {})
    }
  }
}

/** A request for the answer to a prompt; with a token, for the rest of an answer that takes several requests. */
export const toParameters = (
  prompt: Prompt,
  contents: Array<Content>,
  safetySettings: Array<SafetySetting> | undefined,
  abortSignal: AbortSignal,
  token: string | undefined
): GenerateContentParameters => ({
  model: prompt.model,
  contents,
  config: {
    abortSignal,
    ...(token === undefined ? {} : { continuationToken: token }),
    ...(prompt.systemPrompt === null || prompt.systemPrompt === "" ? {} : { systemInstruction: prompt.systemPrompt }),
    maxOutputTokens: prompt.maxOutputTokens,
    ...(safetySettings === undefined ? {} : { safetySettings }),
    ...(prompt.temperature === null ? {} : { temperature: prompt.temperature }),
    ...(prompt.topP === undefined ? {} : { topP: prompt.topP }),
    ...(prompt.stop === undefined || prompt.stop.length === 0 ? {} : { stopSequences: [...prompt.stop] }),
    ...(prompt.responseFormat?.type === "json" ? jsonOf(prompt.responseFormat) : {}),
    ...(prompt.tools === undefined || prompt.tools.length === 0 ? {} : { tools: toolsOf(prompt.tools) }),
    ...thinkingConfigOf(prompt)
  }
})

/** Google refuses an empty part: a question whose files were not copied with it has neither. */
const wordless = "[file]"
const noParts: ReturnType<typeof partsOf> = Effect.succeed({ parts: [], sent: new Map<string, SentBytes>() })

/** The turns in Google's form, and the files whose bytes are put in when they are sent. */
export const contentsOf = Effect.fnUntraced(function* (turns: Prompt["turns"]) {
  const sent = new Map<string, SentBytes>()
  const contents = yield* Effect.forEach(turns, ({ files = [], role, text }) =>
    Effect.map(files.length === 0 ? noParts : partsOf(files), ({ parts, sent: ofTurn }) => {
      for (const [name, file] of ofTurn) sent.set(name, file)
      if (text === "" && parts.length > 0) return { role, parts }
      return { role, parts: [...parts, { text: text === "" ? wordless : text }] }
    })
  )
  return { contents, sent }
})
