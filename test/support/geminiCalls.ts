import type { GeminiSimulator, LogEntry } from "../../simulators/gemini/GeminiSimulator.ts"
import type { TestBackends } from "./TestBackends.ts"

/** The turns that the simulator received, as `role: text`. */
export const turnsOf = (call: LogEntry | undefined): ReadonlyArray<string> => {
  const body = call?.body as { contents: ReadonlyArray<{ role: string; parts: ReadonlyArray<{ text: string }> }> }
  return body.contents.map(({ parts, role }) => `${role}: ${parts.map(({ text }) => text).join("")}`)
}

/** The calls whose last turn, which is the question, contains the text. */
export const callsAbout = (backends: TestBackends, text: string): ReadonlyArray<LogEntry> => callsTo(backends.gemini, text)
export const callsTo = (gemini: GeminiSimulator, text: string): ReadonlyArray<LogEntry> =>
  gemini.log(text).filter((call) => call.method === "streamGenerateContent" && turnsOf(call).at(-1)?.includes(text) === true)
