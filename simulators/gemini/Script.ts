import { demoAnswerTo } from "./DemoAnswers.ts"
import type { LimitedFault } from "./Fault.ts"
import { readFault } from "./FaultWords.ts"
import { MOST_CHUNKS, numberAfter, toCount } from "./WordArguments.ts"

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
 * | `[[html]]`, `[[reset]]`, `[[hang]]` | see `Fault.ts` |
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
