import { createHash } from "node:crypto"
import { describeFiles, type SeenFile, tokenDetails } from "./Files.ts"
import { invalid } from "./GoogleError.ts"
import { countTokens } from "./GenerateRequest.ts"
import type { GenerateRequest } from "./GenerateRequest.ts"
import { ground } from "./Grounding.ts"
import { answerInJson } from "./JsonAnswer.ts"
import { type Fault, isBreaking } from "./Fault.ts"
import type { Script } from "./Script.ts"

/** One chunk of a reply, not yet in Google's format. */
export interface Chunk {
  readonly text: string
  /** Its text is replaced by the time at which it is sent. */
  readonly clock?: true
  readonly thought?: true
  /** Milliseconds before it instead of the usual ones. */
  readonly pauseMillis?: number
  readonly finishReason?: string
  readonly blockReason?: string
  readonly continuationToken?: string
  /** What the candidate has besides its text. */
  readonly metadata?: object
}

const WORDS = ["river", "stone", "amber", "cloud", "lantern", "meadow", "signal", "harbour", "copper", "orchard"]
const SYMBOLS = ["🌊", "🪨", "🔶", "🌥", "🏮", "🌾", "📡", "🚢", "🥉", "🌳"]
const THOUGHT = "The user wrote to me. I shall answer with what was said."

/** The thoughts of an answer, piece by piece. */
export const makeThoughts = ({ thoughts }: Script, fault: Fault | undefined): ReadonlyArray<Chunk> => {
  const count = Math.max(thoughts, fault?.kind === "thoughts" ? 1 : 0)
  if (count === 1) return [{ text: THOUGHT, thought: true }]
  return times(count).map((index) => ({
    text: `(${index + 1} of ${count}) ${THOUGHT} ${SYMBOLS[index % SYMBOLS.length]} `,
    thought: true
  }))
}

export const charactersOf = (chunks: ReadonlyArray<Chunk>): number => joinText(chunks).length

/** Half of the thoughts, then the text with the others between its pieces. */
const interleave = (thoughts: ReadonlyArray<Chunk>, pieces: ReadonlyArray<Chunk>): ReadonlyArray<Chunk> => {
  const first = Math.ceil(thoughts.length / 2)
  const rest = thoughts.slice(first)
  // None comes after the last piece, which has the finish reason.
  const gaps = pieces.length - 1
  const before = gaps < 1 ? rest.length : 0
  const all = pieces.flatMap((piece, index) => [
    piece,
    ...(gaps < 1 ? [] : rest.slice(Math.ceil((index * rest.length) / gaps), Math.ceil(((index + 1) * rest.length) / gaps)))
  ])
  return [...thoughts.slice(0, first), ...rest.slice(0, before), ...all]
}

/** The chunks of the answer to a request, up to the point where the fault ends it. */
export const makeChunks = (
  model: string,
  request: GenerateRequest,
  script: Script,
  fault: Fault | undefined,
  chunkChars: number
): ReadonlyArray<Chunk> => {
  if (fault?.kind === "blocked") return [{ text: "", blockReason: fault.reason ?? "SAFETY" }]
  const thoughts = request.includeThoughts ? makeThoughts(script, fault) : []
  if (fault?.kind === "empty") return [...thoughts, { text: "", finishReason: "STOP" }]

  const before = fault && chunksBefore(fault)
  const wanted = Math.max(before === undefined ? 0 : before + 1, script.chunks ?? 0)
  const whole = endedBefore(makeText(model, request, script, wanted * chunkChars), request.stop)
  const { next, text } = hopOf(misfitOf(fault) ?? whole, request, script)
  const plainPieces = split(text, script.chunks ?? Math.ceil(text.length / chunkChars)).map((text): Chunk =>
    script.clock ? { text, clock: true } : { text }
  )
  const pieces = withMetadata(plainPieces, ground(text, request, script))
  if (fault?.kind === "finish") return interleave(thoughts, finished(pieces.slice(0, before), fault.reason))
  if (fault && isBreaking(fault)) {
    const checkpoint = next === undefined ? [] : [{ text: "", continuationToken: next }]
    return [...interleave(thoughts, pieces), ...checkpoint].slice(0, before)
  }
  const late = script.late && { text: script.late.text, pauseMillis: script.late.millis, finishReason: "STOP" }
  if (next !== undefined) {
    // The token comes once as a checkpoint and once with the finish reason.
    return [
      ...interleave(thoughts, pieces),
      { text: "", continuationToken: next },
      { text: "", continuationToken: next, finishReason: "CONTINUATION" }
    ]
  }
  return [...interleave(thoughts, finished(pieces, "STOP")), ...(late ? [late] : [])]
}

/** The metadata comes one chunk before the end. */
const withMetadata = (pieces: ReadonlyArray<Chunk>, metadata: object | undefined): ReadonlyArray<Chunk> => {
  const at = Math.max(0, pieces.length - 2)
  return metadata === undefined ? pieces : pieces.map((piece, index) => (index === at ? { ...piece, metadata } : piece))
}

/** The text of an answer that is not JSON, or that fits no schema of an object or a list. */
const misfitOf = (fault: Fault | undefined): string | undefined =>
  fault?.kind === "badjson" ? '{"half":' : fault?.kind === "notfit" ? '"This fits no schema."' : undefined

/** The part of a text that a request of `[[continue N]]` gets, and the token of the next one. */
const hopOf = (text: string, request: GenerateRequest, { hops = 1 }: Script) => {
  const { continuationToken, prompt } = request
  const tokenOf = (hop: number) =>
    Buffer.from(`${hop}/${hops} ${createHash("sha256").update(prompt).digest("hex").slice(0, 16)}`).toString("base64")
  const hop =
    continuationToken === undefined ? 0 : times(hops).find((number) => number > 0 && tokenOf(number) === continuationToken)
  if (hop === undefined) throw invalid("The continuation token is not valid for this request.")
  const parts = split(text, hops)
  return { text: parts[hop] ?? "", next: hop < hops - 1 ? tokenOf(hop + 1) : undefined }
}

const times = (count: number) => Array.from({ length: count }, (_, index) => index)

const chunksBefore = (fault: Fault): number | undefined => {
  if (isBreaking(fault)) return fault.after ?? 1
  return fault.kind === "finish" ? (fault.after ?? 0) : undefined
}

const finished = (pieces: ReadonlyArray<Chunk>, finishReason: string): ReadonlyArray<Chunk> =>
  pieces.length === 0
    ? [{ text: "", finishReason }]
    : pieces.map((piece, index) => (index === pieces.length - 1 ? { ...piece, finishReason } : piece))

/** Puts the current time into a chunk of `[[clock]]`. */
export const stampClock = (chunk: Chunk): Chunk =>
  chunk.clock ? { ...chunk, text: `@${(performance.timeOrigin + performance.now()).toFixed(3)};` } : chunk

/** The text before the first of the stop sequences. */
const endedBefore = (text: string, stop: ReadonlyArray<string>): string =>
  text.slice(0, Math.min(text.length, ...stop.map((sequence) => text.indexOf(sequence)).filter((at) => at !== -1)))

/** The text of `[[say]]` or `[[length]]`, or else an echo, padded to `atLeast` characters. */
const makeText = (model: string, request: GenerateRequest, script: Script, atLeast: number): string => {
  if (script.say !== undefined) return script.say
  if (script.length !== undefined) return numberedWords(script.length, script.unicode)
  if (request.format !== undefined) return answerInJson(request.format, request.prompt)
  const { prompt, system, turns } = request
  const quote = prompt.length > 1000 ? `${prompt.slice(0, 1000).replace(/[\ud800-\udbff]$/, "")}…` : prompt
  const instructions = system === "" ? "" : ` My instructions begin "${system.trim().split(/\s+/, 5).join(" ")}".`
  const echo = `${describeFiles(request.files)}You said: "${quote}".${instructions} (turn ${turns}, ${model})`
  const symbols = script.unicode ? ` ${numberedWords(120, true)}` : ""
  const missing = atLeast - echo.length - symbols.length
  return echo + symbols + (missing > 0 ? ` ${numberedWords(missing, script.unicode)}` : "")
}

/** Exactly `length` UTF-16 units of numbered words, so that a lost or repeated word can be found. */
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

/** Splits a text into `count` pieces of about equal length, or fewer if it is too short; never inside a surrogate pair. */
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

/** What all responses of one reply share. */
export interface ReplyContext {
  readonly model: string
  readonly responseId: string
  readonly promptTokens: number
  readonly cachedTokens: number | undefined
  readonly retiresAt: string | undefined
  /** Characters of thoughts that are counted and not shown. */
  readonly hiddenThoughts: number
  /** Tokens of what tools have found. */
  readonly toolTokens: number
  readonly files: ReadonlyArray<SeenFile>
}

/** Characters sent so far, for the cumulative counts in each response. */
export interface Sent {
  text: number
  thought: number
}

/** A GenerateContentResponse of these chunks: https://ai.google.dev/api/generate-content#generatecontentresponse */
export const toResponse = (context: ReplyContext, chunks: ReadonlyArray<Chunk>, sent: Sent): object => {
  for (const { text, thought } of chunks) sent[thought ? "thought" : "text"] += text.length
  const { cachedTokens, files, model: modelVersion, promptTokens, responseId, retiresAt, toolTokens } = context
  const candidates = countTokens(sent.text)
  const thoughts = countTokens(sent.thought)
  const usageMetadata = {
    promptTokenCount: promptTokens,
    ...(files.length > 0 ? { promptTokensDetails: tokenDetails(promptTokens, files) } : {}),
    ...(candidates > 0 ? { candidatesTokenCount: candidates } : {}),
    totalTokenCount: promptTokens + toolTokens + candidates + thoughts,
    ...(toolTokens > 0 ? { toolUsePromptTokenCount: toolTokens } : {}),
    ...(cachedTokens === undefined ? {} : { cachedContentTokenCount: cachedTokens }),
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {})
  }
  const blockReason = chunks[0]?.blockReason
  const outcome = blockReason
    ? { promptFeedback: { blockReason, ...ratingsOf(blockReason) } }
    : { candidates: [toCandidate(chunks)] }
  const modelStatus = retiresAt && { modelStage: "DEPRECATED", retirementTime: retiresAt, message: "Use a newer model." }
  return { ...outcome, usageMetadata, modelVersion, responseId, ...(modelStatus ? { modelStatus } : {}) }
}

/** Ratings come with `SAFETY` alone: https://ai.google.dev/api/generate-content#SafetyRating */
const ratingsOf = (reason: string): object =>
  reason === "SAFETY"
    ? {
        safetyRatings: [
          { category: "HARM_CATEGORY_HARASSMENT", probability: "NEGLIGIBLE", blocked: false },
          { category: "HARM_CATEGORY_DANGEROUS_CONTENT", probability: "HIGH", blocked: true }
        ]
      }
    : {}

/** A candidate without text has a content without parts; one that was stopped has no content. */
const toCandidate = (chunks: ReadonlyArray<Chunk>): object => {
  const thought = joinText(chunks.filter((chunk) => chunk.thought))
  const text = joinText(chunks.filter((chunk) => !chunk.thought))
  const parts = [...(thought ? [{ text: thought, thought: true }] : []), ...(text ? [{ text }] : [])]
  const { continuationToken, finishReason } = chunks.at(-1) ?? {}
  const stopped = parts.length === 0 && finishReason !== "STOP" && finishReason !== "MAX_TOKENS"
  return {
    ...(stopped ? {} : { content: { ...(parts.length > 0 ? { parts } : {}), role: "model" } }),
    ...(finishReason ? { finishReason, ...ratingsOf(finishReason) } : {}),
    ...(continuationToken ? { continuationToken } : {}),
    ...Object.assign({}, ...chunks.map(({ metadata }) => metadata)),
    index: 0
  }
}

const joinText = (chunks: ReadonlyArray<Chunk>): string => chunks.map(({ text }) => text).join("")
