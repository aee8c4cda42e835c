import type { BilledCall } from "../../simulators/gemini/GeminiSimulator.ts"
import { builtInModels } from "../../src/config/BuiltInModels.ts"
import { costOfCall } from "../../src/models/Prices.ts"
import type { CallRow, Evidence, MessageRow } from "./Evidence.ts"
import type { Experiment } from "./Experiment.ts"
import type { Call } from "./Model.ts"
import { markerIn } from "./Prompts.ts"

/** Milliseconds after the end of a call within which its process writes it into the ledger. */
const writingMillis = 10_000
/** Milliseconds after its first text within which a caller that gives up may not have read any. */
const readingMillis = 1_000

type Surroundings = Pick<Experiment, "database" | "processes">

/**
 * Whether the process that made the call lived, answered signals and had Postgres until the call was in the ledger. A
 * process that is killed takes what it had read with it: only the text that other processes were shown is known, and
 * the ledger estimates the call from that.
 */
const isSure = ({ database, processes }: Surroundings, { at, caller, endedAt = Infinity }: Call): boolean => {
  const process = processes.find(({ name }) => name === caller)
  if (process === undefined) return false
  const until = endedAt + writingMillis
  const wasKilled = process.incarnations.some(({ exit, signalled }) => {
    const lostAt = signalled?.signal === "SIGKILL" ? signalled.at : signalled === undefined ? exit?.at : undefined
    return lostAt !== undefined && lostAt >= at && lostAt <= until
  })
  return !wasKilled && process.silentFor(at, until) === undefined && !database.wasDown(at, until)
}

const countsOf = (counts: Pick<CallRow, "prompt" | "cached" | "tool" | "reply" | "thought" | "searches">) => {
  const { cached, prompt, reply, searches, thought, tool } = counts
  return [prompt, cached, tool, reply, thought, searches]
}
const billedCounts = (bill: BilledCall) =>
  countsOf({
    prompt: bill.promptTokens,
    cached: bill.cachedTokens,
    tool: bill.toolTokens,
    reply: bill.replyTokens,
    thought: bill.thoughtTokens,
    searches: bill.searches
  })

const costOf = ({ cached, prompt, reply, searches, thought, tool, ...row }: CallRow) => {
  const usage = { promptTokens: prompt, cachedTokens: cached, toolTokens: tool, replyTokens: reply, thoughtTokens: thought }
  return costOfCall(
    builtInModels,
    { model: row.model, modelVersion: row.model_version, usage, searches },
    row.at.getTime(),
    14_000
  ).costMicros
}

/** The replies to each question, by its marker. */
const repliesByMarker = ({ messages, replies }: Evidence): Map<string | undefined, Array<MessageRow>> =>
  Map.groupBy(replies, ({ reply_to }) => markerIn(messages.get(reply_to ?? "")?.content ?? ""))

/** The call's replies, the other calls about its question, and what its process logged of the ledger and of leases. */
const explained = (
  { model, processes }: Pick<Experiment, "model" | "processes">,
  call: Call,
  replies: ReadonlyArray<MessageRow>
) => {
  const caller = processes.find(({ name }) => name === call.caller)
  const lines = (caller?.incarnations ?? []).flatMap(({ number, output }) =>
    output()
      .split("\n")
      .filter((line) => /ledger|lease/i.test(line))
      .map((line) => `start ${number}: ${line.slice(0, 400)}`)
  )
  const calls = model.calls.filter(({ marker }) => marker === call.marker)
  const ends = replies.map(({ attempt, completed_at, error_code, id, started_at, status }) => {
    return { id, attempt, status, error_code, started_at, completed_at }
  })
  return JSON.stringify({ call, calls, replies: ends, lines: lines.slice(-10) })
}

/** The number that the simulator has put into the version. */
const numberOf = ({ model_version }: CallRow): number => Number(/-call-(\d+)$/.exec(model_version ?? "")?.[1])

/**
 * Every call that the simulator would have billed is in the ledger once, with the counts of its last response. Two things
 * are not known, and only bounded: how much of an answer had reached a caller that gave it up (no more than was written),
 * and the calls of a process that was lost meanwhile (at most once, or estimated).
 */
export const billedCalls = ({ database, ledger, model, processes }: Experiment, evidence: Evidence): void => {
  const { calls } = evidence
  const repliesTo = repliesByMarker(evidence)
  const violate = (detail: string) => ledger.violate("ledger-billed", detail)
  const bills = model.bills()
  const byNumber = new Map(bills.map((bill) => [bill.id, bill]))
  if (model.requests() > 20_000) violate(`the simulator's log keeps 20,000 of ${model.requests()} requests`)
  const counted = calls.filter(({ is_estimated }) => !is_estimated)
  const rows = Map.groupBy(counted, numberOf)
  for (const [number, [row, ...others]] of rows) {
    const bill = byNumber.get(number)
    if (row === undefined) continue
    if (others.length > 0) violate(`call ${number} is in the ledger ${others.length + 1} times`)
    if (bill === undefined) {
      violate(`the ledger has call ${number} (${row.model_version}), which the simulator did not bill`)
      continue
    }
    if (row.cost !== costOf(row)) violate(`call ${number} costs ${row.cost} instead of ${costOf(row)}`)
    const most = billedCounts(bill)
    const isWithin = countsOf(row).every((count, index) => count <= (most[index] ?? 0)) && row.prompt === bill.promptTokens
    if (!isWithin) violate(`call ${number} is ${countsOf(row)} in the ledger and ${most} at the simulator`)
  }

  const figures = { exact: 0, "given up": 0, "not sure": 0 }
  const unsureMarkers = new Set<string>()
  for (const call of model.calls) {
    const bill = byNumber.get(call.number ?? 0)
    const sure = isSure({ database, processes }, call)
    if (!sure) unsureMarkers.add(call.marker)
    if (bill === undefined) continue
    const [row] = rows.get(bill.id) ?? []
    // A caller that gives up a short answer may have read nothing of it, though all of it was written.
    const replies = repliesTo.get(call.marker) ?? []
    const isGivenUp = replies.length === 0 || replies.some(({ status }) => status === "cancelled")
    const isCut = call.aborted || bill.aborted || isGivenUp
    figures[sure ? (isCut ? "given up" : "exact") : "not sure"]++
    if (!sure) continue
    const mayBeUnread = isCut && (call.endedAt ?? Infinity) - (call.firstAt ?? Infinity) < readingMillis
    if (row === undefined) {
      if (!mayBeUnread)
        violate(
          `call ${bill.id} of ${call.caller} about ${call.marker} is missing: ${explained({ model, processes }, call, replies)}`
        )
    } else if (!isCut && `${countsOf(row)}` !== `${billedCounts(bill)}`) {
      violate(`call ${bill.id} is ${countsOf(row)} in the ledger and ${billedCounts(bill)} at the simulator`)
    }
  }
  for (const { marker, reply_id } of calls.filter(({ is_estimated }) => is_estimated)) {
    if (!unsureMarkers.has(marker ?? "")) violate(`a call for ${reply_id} is estimated, and no process was lost`)
  }

  for (const [what, count] of Object.entries(figures)) ledger.most(`billed calls: ${what}`, count)
  ledger.most("billed calls: estimated in the ledger", calls.length - counted.length)
  ledger.most(
    "billed answer tokens: simulator",
    bills.reduce((sum, { replyTokens }) => sum + replyTokens, 0)
  )
  ledger.most(
    "billed answer tokens: ledger",
    counted.reduce((sum, { reply }) => sum + reply, 0)
  )
}
