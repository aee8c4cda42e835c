import type { AskSettings, ResponseFormat } from "../api/chat/Settings.ts"
import type { Thinking } from "../api/chat/Thinking.ts"
import type { Tool } from "../api/models/ModelsApi.ts"

/** What a question may set for its reply: `topP` and `stop` only where a client's protocol has them. */
export interface ChosenSettings extends AskSettings {
  readonly topP?: number | undefined
  /** Texts before which the answer ends. */
  readonly stop?: ReadonlyArray<string> | undefined
}

/** A room's settings that a reply may take over. */
export interface RoomSettings {
  readonly model: string | null
  readonly temperature: number | null
  readonly thinking: Thinking
  readonly tools: ReadonlyArray<Tool>
}

/**
 * A reply's settings as they were accepted, kept with the reply: a later change of the room does not change it. The
 * system prompt is added by the transaction that accepts the question.
 */
export interface ReplySettings {
  readonly model: string
  readonly temperature: number | null
  readonly maxOutputTokens: number
  /** The tier's bound of the prompt. */
  readonly contextTokens: number
  readonly systemPrompt?: string | null
  /** Absent when neither a level nor summaries are asked for. */
  readonly thinking?: Thinking
  /** Absent without. */
  readonly topP?: number
  readonly stop?: ReadonlyArray<string>
  /** Absent for text. */
  readonly responseFormat?: ResponseFormat
  /** Absent without. */
  readonly tools?: ReadonlyArray<Tool>
  /** Tools of the settings that the reply is made without. Absent without; the acceptance may move `search` here. */
  readonly toolsSkipped?: ReadonlyArray<Tool>
  /** The W3C trace context of the request, which the making of the reply continues. Absent when nothing is traced. */
  readonly traceparent?: string
}

/** The question's value where it has one, or else the room's. */
export const chosen = <K extends "model" | "temperature">(name: K, asked: AskSettings, room: RoomSettings) =>
  asked[name] === undefined ? room[name] : asked[name]
