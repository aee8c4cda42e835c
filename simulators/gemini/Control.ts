import type { IncomingMessage, ServerResponse } from "node:http"
import { text as readText } from "node:stream/consumers"
import { isRecord, parseJson } from "./Body.ts"
import { GoogleError, invalid } from "./GoogleError.ts"
import type { BilledCall, LogEntry, Stats } from "./RequestLog.ts"
import { type FaultRule, isFaultKind } from "./Fault.ts"

export interface Settings {
  /** Time before the first byte of an answer. */
  readonly latencyMillis: number
  /** Time between two chunks of a stream; 0 sends all at once. */
  readonly chunkMillis: number
  /** Approximate length of a chunk, at least 1. */
  readonly chunkChars: number
}

/** The methods by which a test or a benchmark controls a running simulator. */
export interface GeminiSimulatorControl {
  stats(): Stats
  /** The newest 20,000 requests, oldest first; with `contains`, only those whose body contains it. */
  log(contains?: string): ReadonlyArray<LogEntry>
  /** What the calls among the newest 20,000 requests would have cost, oldest first. */
  bills(): ReadonlyArray<BilledCall>
  /** Clears log, counters and faults, and restores the initial settings. */
  reset(): void
  /** Changes the given settings and returns all of them. */
  settings(patch?: Partial<Settings>): Settings
  /** Adds a rule. Rules are tried in the order they were added, before the prompt's magic words. */
  addFault(rule: FaultRule): void
  clearFaults(): void
}

/** The control routes: the same methods over HTTP, with JSON bodies. */
export const answerControl = async (control: GeminiSimulatorControl, request: IncomingMessage, response: ServerResponse) => {
  let status = 200
  let body: unknown
  try {
    const url = new URL(request.url ?? "", "http://localhost")
    body = runControl(control, `${request.method} ${url.pathname}`, url.searchParams, await readText(request))
  } catch (error) {
    status = error instanceof GoogleError ? error.status : 500
    body = error instanceof GoogleError ? error : { error: String(error) }
  }
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

const runControl = (control: GeminiSimulatorControl, route: string, query: URLSearchParams, text: string): unknown => {
  switch (route) {
    case "GET /__control/log":
      return control.log(query.get("contains") ?? "")
    case "GET /__control/bills":
      return control.bills()
    case "GET /__control/stats":
      return control.stats()
    case "PUT /__control/settings":
      return control.settings(readSettings(parseJson(text)))
    case "POST /__control/faults":
      control.addFault(readRule(parseJson(text)))
      return {}
    case "DELETE /__control/faults":
      control.clearFaults()
      return {}
    case "POST /__control/reset":
      control.reset()
      return {}
    default:
      throw new GoogleError(404)
  }
}

const readSettings = (value: unknown): Partial<Settings> => {
  if (!isSettings(value)) throw invalid("Settings are { latencyMillis?, chunkMillis?, chunkChars? }, numbers.")
  return value
}

const isSettings = (value: unknown): value is Partial<Settings> =>
  isRecord(value) &&
  isAbsentOrAtLeast(0, value["latencyMillis"]) &&
  isAbsentOrAtLeast(0, value["chunkMillis"]) &&
  isAbsentOrAtLeast(1, value["chunkChars"])

const readRule = (value: unknown): FaultRule => {
  if (!isRule(value)) throw invalid("A rule is { match?, model?, times?, fault: { kind, … } }.")
  return value
}

const isRule = (value: unknown): value is FaultRule =>
  isRecord(value) &&
  isAbsentOrText(value["match"]) &&
  isAbsentOrText(value["model"]) &&
  isAbsentOrAtLeast(1, value["times"]) &&
  isFault(value["fault"])

const isFault = (fault: unknown): boolean =>
  isRecord(fault) &&
  isFaultKind(fault["kind"]) &&
  isAbsentOrAtLeast(0, fault["after"]) &&
  isAbsentOrAtLeast(0, fault["retryDelaySeconds"]) &&
  isAbsentOrText(fault["reason"]) &&
  (fault["kind"] !== "finish" || fault["reason"] !== undefined) &&
  (isErrorStatus(fault["status"]) || (fault["status"] === undefined && fault["kind"] !== "status"))

const isErrorStatus = (value: unknown) => typeof value === "number" && Number.isInteger(value) && value >= 400 && value <= 599

const isAbsentOrText = (value: unknown) => value === undefined || typeof value === "string"

const isAbsentOrAtLeast = (least: number, value: unknown) => value === undefined || (typeof value === "number" && value >= least)
