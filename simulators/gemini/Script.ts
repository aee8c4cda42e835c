import { demoAnswerTo } from "./DemoAnswers.ts"

/** A fault or an unusual end of one answer. `after` is the number of chunks sent before it. */
export type Fault =
  /**
   * An HTTP error in Google's format. `retryDelaySeconds` adds a RetryInfo, `perDay` names a daily quota, `inList` puts
   * it into a list of one.
   */
  | {
      readonly kind: "status"
      readonly status: number
      readonly retryDelaySeconds?: number
      readonly perDay?: boolean
      readonly inList?: boolean
    }
  /** A 502 with an HTML page, as from a proxy in front of Google. */
  | { readonly kind: "html" }
  /** The connection is reset before any header. */
  | { readonly kind: "reset" }
  /** No answer, ever. */
  | { readonly kind: "hang" }
  /** The prompt is refused: no candidates, `promptFeedback.blockReason` (default SAFETY). */
  | { readonly kind: "blocked"; readonly reason?: string }
  /** The reply ends with another finish reason than STOP, after some chunks of text (default 0: no text). */
  | { readonly kind: "finish"; readonly reason: string; readonly after?: number }
  /** STOP without text. */
  | { readonly kind: "empty" }
  /** A text that is not JSON, and one that fits no schema. */
  | { readonly kind: "badjson" | "notfit" }
  /** A normal reply with a thought before its text. */
  | { readonly kind: "thoughts" }
  | BreakingFault

/** A fault that breaks the stream after some chunks (default 1). */
export type BreakingFault =
  | { readonly kind: BreakingKind; readonly after?: number }
  /** An error event; `status` is 503 by default. */
  | { readonly kind: "error"; readonly after?: number; readonly status?: number }

/**
 * - `cut`: the stream ends normally, without a finish reason
 * - `drop`: the connection is closed in the middle of the body
 * - `stall`: nothing more is sent and the connection stays open
 * - `garbage`: an event with half a JSON document, then the stream ends
 * - `truncate`: the stream ends in the middle of an event
 */
const BREAKING_KINDS = ["cut", "drop", "stall", "garbage", "truncate"] as const
type BreakingKind = (typeof BREAKING_KINDS)[number]

export const isBreaking = (fault: Fault): fault is BreakingFault =>
  fault.kind === "error" || BREAKING_KINDS.some((kind) => kind === fault.kind)

export const isFaultKind = (kind: unknown): kind is Fault["kind"] =>
  [
    "status",
    "html",
    "reset",
    "hang",
    "blocked",
    "finish",
    "empty",
    "badjson",
    "notfit",
    "thoughts",
    "error",
    ...BREAKING_KINDS
  ].some((known) => known === kind)

/** A fault, and how many requests it hits. */
export interface LimitedFault {
  readonly fault: Fault
  readonly times: number
}

/** A fault for prompts that contain `match`, sent to `model`; an absent field matches all. */
export interface FaultRule {
  readonly match?: string
  readonly model?: string
  /** How many requests it hits; unlimited when absent. */
  readonly times?: number
  readonly fault: Fault
}

/** What the magic words of a prompt request. */
export interface Script {
  readonly faults: Array<LimitedFault>
  say?: string
  length?: number
  unicode: boolean
  /** Pieces of thoughts. */
  thoughts: number
  clock: boolean
  cachedTokens?: number
  latencyMillis?: number
  chunkMillis?: number
  chunks?: number
  /** Requests that the answer takes. */
  hops?: number
  /** The `modelVersion` of the answer. */
  version?: string
  /** When the model retires, which each response says. */
  retiresAt?: string
  /** Queries that the model searches for, if it may. */
  searches?: ReadonlyArray<string>
  /** Addresses that the model reads, if it may. */
  readonly urls: Array<{ readonly url: string; readonly status: string }>
  /** Whether the supports of a search are at other places than they say. */
  isMisplaced?: boolean
  late?: { readonly millis: number; readonly text: string }
}

const MOST_CHUNKS = 10_000
/** As fast as a model writes. */
const demoChunkMillis = 60

/**
 * Parses the magic words of a prompt. Unknown words, and words that lack their number, are ordinary text. Numbers are
 * limited to a million, counts of chunks to 10,000.
 *
 * | word | the reply |
 * |---|---|
 * | `[[say TEXT]]` | is exactly TEXT |
 * | `[[length N]]` | has exactly N UTF-16 units of numbered words |
 * | `[[clock]]` | has as each chunk the time at which it is sent, `@MILLISECONDS;` since 1970 with three decimals |
 * | `[[unicode]]` | has numbered words with characters outside the basic plane |
 * | `[[latency MS]]` | starts after MS milliseconds |
 * | `[[chunks N delay MS]]` | is sent in N chunks, MS milliseconds apart |
 * | `[[thoughts N]]` | has N pieces of thoughts (1): half of them before its text, the others between its chunks; they are counted, and shown with `includeThoughts` |
 * | `[[late MS TEXT]]` | goes on with TEXT and another STOP, MS milliseconds after its first STOP |
 * | `[[cached N]]` | reports N prompt tokens as cached |
 * | `[[continue N]]` | takes N requests: all but the last end with `CONTINUATION` and a token for the next |
 * | `[[version NAME]]` | has NAME as its `modelVersion` |
 * | `[[retires TIME]]` | says that its model is deprecated and retires at TIME (`modelStatus`) |
 * | `[[search Q1\|Q2]]` | is grounded in searches for Q1 and Q2, if the request has the tool |
 * | `[[misplaced]]` | names places for what is grounded that are one byte off |
 * | `[[url U STATUS]]` | has read the address U with STATUS (`success`), if the request has the tool |
 *
 * | word | the fault |
 * |---|---|
 * | `[[status CODE retry S perday list]]` | HTTP error CODE; optional: RetryInfo of S seconds, per-day quota, body in a list |
 * | `[[html]]`, `[[reset]]`, `[[hang]]` | see {@link Fault} |
 * | `[[cut K]]`, `[[drop K]]`, `[[stall K]]`, `[[garbage K]]`, `[[truncate K]]` | after K chunks (default 1) |
 * | `[[error K status CODE]]` | an error event after K chunks (1), with CODE (503) |
 * | `[[blocked REASON]]` | refused prompt (SAFETY) |
 * | `[[finish REASON K]]` | finish reason after K chunks of text (0) |
 * | `[[empty]]` | STOP without text |
 * | `[[rejectfile MODEL]]` | HTTP error 400 while a turn with files has it, when MODEL is asked (any) |
 * | `[[badjson]]`, `[[notfit]]` | a text that is not JSON, or that fits no schema |
 *
 * `times N` in any fault word limits it to the first N requests with the same prompt. Several fault words apply one
 * after the other: `[[status 503 times 2]] [[cut 1 times 1]]` is 503, 503, a cut, then a reply.
 */
export const readScript = (prompt: string): Script => {
  const script: Script = { faults: [], urls: [], unicode: false, thoughts: 0, clock: false }
  const demo = demoAnswerTo(prompt)
  if (demo !== undefined) return { ...script, say: demo, thoughts: 3, chunkMillis: demoChunkMillis }
  if (!prompt.includes("[[")) return script
  for (const [, word = "", rest = ""] of prompt.matchAll(/\[\[(\w+)(?: ([^]*?))?\]\]/g)) {
    const args = rest.split(/\s+/)
    shapeReply(script, word, rest, args)
    const fault = readFault(word, args)
    if (fault) script.faults.push({ fault, times: numberAfter(args, "times") ?? Infinity })
  }
  return script
}

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

const shapeReply = (script: Script, word: string, rest: string, args: ReadonlyArray<string>) => {
  const number = toCount(args[0])
  if (word === "say") script.say = rest
  if (word === "unicode") script.unicode = true
  if (word === "thoughts") script.thoughts = Math.min(number ?? 1, MOST_CHUNKS)
  if (word === "clock") script.clock = true
  if (word === "length" && number !== undefined) script.length = number
  if (word === "latency" && number !== undefined) script.latencyMillis = number
  if (word === "cached" && number !== undefined) script.cachedTokens = number
  if (word === "continue" && number !== undefined) script.hops = Math.max(1, Math.min(number, 100))
  if (word === "version") script.version = rest
  if (word === "retires") script.retiresAt = rest
  if (word === "search") script.searches = rest.split("|").map((query) => query.trim())
  if (word === "misplaced") script.isMisplaced = true
  if (word === "url" && args[0]) script.urls.push({ url: args[0], status: args[1] ?? "success" })
  if (word === "late" && number !== undefined) script.late = { millis: number, text: args.slice(1).join(" ") }
  if (word !== "chunks" || number === undefined) return
  script.chunks = Math.max(1, Math.min(number, MOST_CHUNKS))
  const delay = numberAfter(args, "delay")
  if (delay !== undefined) script.chunkMillis = delay
}

const readFault = (word: string, args: ReadonlyArray<string>): Fault | undefined => {
  const after = toCount(args[0], MOST_CHUNKS) ?? 1
  const breaking = BREAKING_KINDS.find((kind) => kind === word)
  if (breaking) return { kind: breaking, after }
  switch (word) {
    case "html":
    case "reset":
    case "hang":
    case "empty":
    case "badjson":
    case "notfit":
      return { kind: word }
    case "error":
      return { kind: "error", after, status: toStatus(args[args.indexOf("status") + 1]) ?? 503 }
    case "blocked":
      return { kind: "blocked", reason: isReason(args[0]) ? args[0] : "SAFETY" }
    case "finish":
      if (!isReason(args[0])) return undefined
      return { kind: "finish", reason: args[0], after: toCount(args[1], MOST_CHUNKS) ?? 0 }
    case "status":
      return readStatus(args)
    default:
      return undefined
  }
}

const readStatus = (args: ReadonlyArray<string>): Fault | undefined => {
  const status = toStatus(args[0])
  if (status === undefined) return undefined
  const retryDelaySeconds = numberAfter(args, "retry")
  return {
    kind: "status",
    status,
    perDay: args.includes("perday"),
    inList: args.includes("list"),
    ...(retryDelaySeconds === undefined ? {} : { retryDelaySeconds })
  }
}

const isReason = (arg: string | undefined): arg is string => arg !== undefined && /^[A-Z_]+$/.test(arg)

const toStatus = (arg: string | undefined): number | undefined =>
  arg !== undefined && /^[45]\d\d$/.test(arg) ? Number(arg) : undefined

const toNumber = (arg: string | undefined): number | undefined =>
  arg !== undefined && /^\d+(\.\d+)?$/.test(arg) ? Number(arg) : undefined

const toCount = (arg: string | undefined, most = 1_000_000): number | undefined => {
  const number = toNumber(arg)
  return number === undefined ? undefined : Math.min(Math.floor(number), most)
}

const numberAfter = (args: ReadonlyArray<string>, name: string): number | undefined =>
  args.includes(name) ? toNumber(args[args.indexOf(name) + 1]) : undefined
