import { countTokens } from "./GenerateRequest.ts"
import type { GenerateRequest } from "./GenerateRequest.ts"
import { isBreaking } from "./Script.ts"
import type { Fault, Script } from "./Script.ts"

/** One chunk of a reply before it is put into Google's shape. */
export interface Chunk {
  readonly text: string
  /** Its text is the time at which it is sent. */
  readonly clock?: true
  readonly thought?: true
  readonly finishReason?: string
  readonly blockReason?: string
}

const WORDS = ["river", "stone", "amber", "cloud", "lantern", "meadow", "signal", "harbour", "copper", "orchard"]
const SYMBOLS = ["🌊", "🪨", "🔶", "🌥", "🏮", "🌾", "📡", "🚢", "🥉", "🌳"]
const THOUGHT = "The user wrote to me. I shall answer with what was said."

/** The chunks a request is answered with, as far as the fault lets them come. */
export const makeChunks = (
  model: string,
  request: GenerateRequest,
  script: Script,
  fault: Fault | undefined,
  chunkChars: number
): ReadonlyArray<Chunk> => {
  if (fault?.kind === "blocked") return [{ text: "", blockReason: fault.reason ?? "SAFETY" }]
  const thoughts: ReadonlyArray<Chunk> = script.thoughts || fault?.kind === "thoughts" ? [{ text: THOUGHT, thought: true }] : []
  if (fault?.kind === "empty") return [...thoughts, { text: "", finishReason: "STOP" }]

  const before = fault && chunksBefore(fault)
  const wanted = Math.max(before === undefined ? 0 : before + 1, script.chunks ?? 0)
  const text = makeText(model, request, script, wanted * chunkChars)
  const pieces = split(text, script.chunks ?? Math.ceil(text.length / chunkChars)).map((text): Chunk =>
    script.clock ? { text, clock: true } : { text }
  )
  if (fault?.kind === "finish") return [...thoughts, ...finished(pieces.slice(0, before), fault.reason)]
  if (fault && isBreaking(fault)) return [...thoughts, ...pieces].slice(0, before)
  return [...thoughts, ...finished(pieces, "STOP")]
}

const chunksBefore = (fault: Fault): number | undefined => {
  if (isBreaking(fault)) return fault.after ?? 1
  return fault.kind === "finish" ? (fault.after ?? 0) : undefined
}

const finished = (pieces: ReadonlyArray<Chunk>, finishReason: string): ReadonlyArray<Chunk> =>
  pieces.length === 0
    ? [{ text: "", finishReason }]
    : pieces.map((piece, index) => (index === pieces.length - 1 ? { ...piece, finishReason } : piece))

/** A chunk as it is sent now: of a clock, with the time. */
export const sentNow = (chunk: Chunk): Chunk =>
  chunk.clock ? { ...chunk, text: `@${(performance.timeOrigin + performance.now()).toFixed(3)};` } : chunk

/** What `[[say]]` or `[[length]]` ask for, else an echo, filled up to `atLeast` characters. */
const makeText = (model: string, request: GenerateRequest, script: Script, atLeast: number): string => {
  if (script.say !== undefined) return script.say
  if (script.length !== undefined) return numberedWords(script.length, script.unicode)
  const { prompt, system, turns } = request
  const quote = prompt.length > 1000 ? `${prompt.slice(0, 1000).replace(/[\ud800-\udbff]$/, "")}…` : prompt
  const instructions = system === "" ? "" : ` My instructions begin "${system.trim().split(/\s+/, 5).join(" ")}".`
  const echo = `You said: "${quote}".${instructions} (turn ${turns}, ${model})`
  const symbols = script.unicode ? ` ${numberedWords(120, true)}` : ""
  const missing = atLeast - echo.length - symbols.length
  return echo + symbols + (missing > 0 ? ` ${numberedWords(missing, script.unicode)}` : "")
}

/** Exactly so many UTF-16 units of words that tell their place, so that a lost or doubled one is noticed. */
const numberedWords = (length: number, unicode: boolean): string => {
  const words: Array<string> = []
  for (let index = 0, size = 0; size < length; index++) {
    const at = index % WORDS.length
    const word = `${WORDS[at]}${unicode ? SYMBOLS[at] : ""}${index} `
    words.push(word)
    size += word.length
  }
  return words
    .join("")
    .slice(0, length)
    .replace(/[\ud800-\udbff ]$/, ".")
}

/** Cuts a text into so many pieces of about the same size, never inside a character; fewer if it is too short. */
const split = (text: string, count: number): ReadonlyArray<string> => {
  const pieces: Array<string> = []
  let from = 0
  for (let index = 1; index <= count; index++) {
    let to = Math.round((index * text.length) / count)
    if (isLowSurrogate(text.charCodeAt(to))) to++
    if (to > from) pieces.push(text.slice(from, to))
    from = Math.max(from, to)
  }
  return pieces
}

const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff

/** What the responses of one reply have in common. */
export interface ReplyContext {
  readonly model: string
  readonly responseId: string
  readonly promptTokens: number
  readonly cachedTokens: number | undefined
}

/** Characters sent so far, for the cumulative counts each response carries. */
export interface Sent {
  text: number
  thought: number
}

/** A GenerateContentResponse with these chunks: https://ai.google.dev/api/generate-content#generatecontentresponse */
export const toResponse = (context: ReplyContext, chunks: ReadonlyArray<Chunk>, sent: Sent): object => {
  for (const { text, thought } of chunks) sent[thought ? "thought" : "text"] += text.length
  const { cachedTokens, model: modelVersion, promptTokens, responseId } = context
  const candidates = countTokens(sent.text)
  const thoughts = countTokens(sent.thought)
  const usageMetadata = {
    promptTokenCount: promptTokens,
    ...(candidates > 0 ? { candidatesTokenCount: candidates } : {}),
    totalTokenCount: promptTokens + candidates + thoughts,
    ...(cachedTokens === undefined ? {} : { cachedContentTokenCount: cachedTokens }),
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {})
  }
  const blockReason = chunks[0]?.blockReason
  const outcome = blockReason ? { promptFeedback: { blockReason } } : { candidates: [toCandidate(chunks)] }
  return { ...outcome, usageMetadata, modelVersion, responseId }
}

/** A candidate without text has a content without parts, or no content at all when it was stopped. */
const toCandidate = (chunks: ReadonlyArray<Chunk>): object => {
  const thought = joinText(chunks.filter((chunk) => chunk.thought))
  const text = joinText(chunks.filter((chunk) => !chunk.thought))
  const parts = [...(thought ? [{ text: thought, thought: true }] : []), ...(text ? [{ text }] : [])]
  const finishReason = chunks.at(-1)?.finishReason
  const stopped = parts.length === 0 && finishReason !== "STOP" && finishReason !== "MAX_TOKENS"
  return {
    ...(stopped ? {} : { content: { ...(parts.length > 0 ? { parts } : {}), role: "model" } }),
    ...(finishReason ? { finishReason } : {}),
    index: 0
  }
}

const joinText = (chunks: ReadonlyArray<Chunk>): string => chunks.map(({ text }) => text).join("")
