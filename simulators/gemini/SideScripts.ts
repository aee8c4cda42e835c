import { readScript, type Script } from "./Script.ts"

/**
 * Parses the magic words of a request for a room's title. Those of the question's reply do not count, so that a fault is
 * not used up by both.
 *
 * | word | the title |
 * |---|---|
 * | `[[title TEXT]]` | is exactly TEXT; without it, the first words of the question |
 * | `[[title empty]]` | is empty |
 * | `[[title latency MS]]`, `[[title status CODE times N]]` and so on | the words of {@link readScript} with numbers |
 */
export const readTitleScript = (prompt: string): Script => {
  const { script, texts } = readOwnWords(prompt, "title")
  return { ...script, say: texts[0] ?? prompt.trim().split(/\s+/, 4).join(" ") }
}

/**
 * Parses the magic words of a request for a room's summary: those of the exchanges that are summarised.
 *
 * | word | the summary |
 * |---|---|
 * | `[[summary TEXT]]` | has TEXT, after the summary so far; without any, it is the summary so far, or how many words it was asked about |
 * | `[[summary empty]]` | is empty |
 * | `[[summary latency MS]]`, `[[summary status CODE times N]]` and so on | the words of {@link readScript} with numbers |
 */
export const readSummaryScript = (prompt: string): Script => {
  const { script, texts } = readOwnWords(prompt, "summary")
  const [, soFar] = /^Summary so far:\n([^]*?)\n\n(?:User: |\[file: )/.exec(prompt) ?? []
  const parts = [...(soFar === undefined ? [] : [soFar]), ...texts]
  return { ...script, say: parts.length > 0 ? parts.join(" ") : `A summary of ${prompt.split(/\s+/).length} words.` }
}

/** The magic words `[[NAME …]]`: what they say of the answer's way, and their texts. */
const readOwnWords = (prompt: string, name: "title" | "summary") => {
  const words = [...prompt.matchAll(new RegExp(`\\[\\[${name} ([^]*?)\\]\\]`, "g"))].map(([, word = ""]) => word)
  const isText = (word: string) => !/^(?:empty$|(?:latency|status|finish) )/.test(word)
  const others = words.filter((word) => !isText(word)).map((word) => `[[${word}]]`)
  return { script: readScript(others.join(" ")), texts: words.filter(isText) }
}
