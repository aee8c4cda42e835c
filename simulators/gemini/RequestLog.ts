import type { Bill } from "./Bill.ts"
import type { SeenFile } from "./Files.ts"

/** How many requests the log keeps. */
const LIMIT = 20_000

/** One request as the simulator saw it. */
export interface LogEntry {
  readonly id: number
  /** When it arrived, in milliseconds since 1970. */
  readonly at: number
  readonly method: string
  readonly model: string | null
  /** The request's JSON; null when it has none. The hash of a file stands in the place of its base64. */
  readonly body: unknown
  readonly files: ReadonlyArray<SeenFile>
  /** Null before the answer, and when the connection was reset before it. */
  readonly status: number | null
  readonly chunksSent: number
  /** The reply's text so far, thoughts excluded. */
  readonly textSent: string
  /** By the last response that was written, also when the client had disconnected; null without one. */
  readonly bill: Bill | null
  readonly endedAt: number | null
  /** Whether the client disconnected before the answer was complete. */
  readonly aborted: boolean
  readonly inFlight: boolean
}

export interface Stats {
  readonly started: number
  readonly finished: number
  readonly aborted: number
  readonly inFlight: number
  readonly maxInFlight: number
}

/** An entry while its request is served. The body stays text and is parsed when the log is read. */
export interface OpenEntry {
  readonly id: number
  readonly at: number
  readonly method: string
  readonly model: string | null
  bodyText: string
  files: ReadonlyArray<SeenFile>
  status: number | null
  chunksSent: number
  textSent: string
  bill: Bill | null
  endedAt: number | null
  aborted: boolean
}

/** What a call would have cost, without its text. */
export interface BilledCall extends Bill {
  /** Of the log's entry; the answer's `responseId` ends with it. */
  readonly id: number
  readonly at: number
  /** The model that was asked. */
  readonly model: string | null
  readonly aborted: boolean
  readonly inFlight: boolean
}

/** The newest requests, oldest first, and counters of all requests. */
export class RequestLog {
  private entries: Array<OpenEntry> = []
  private lastId = 0
  private counters = { started: 0, finished: 0, aborted: 0, inFlight: 0, maxInFlight: 0 }

  begin(method: string, model: string | null): OpenEntry {
    const entry: OpenEntry = {
      id: ++this.lastId,
      at: Date.now(),
      method,
      model,
      bodyText: "",
      files: [],
      status: null,
      chunksSent: 0,
      textSent: "",
      bill: null,
      endedAt: null,
      aborted: false
    }
    this.entries.push(entry)
    if (this.entries.length > LIMIT) this.entries.shift()
    this.counters.started++
    this.counters.inFlight++
    this.counters.maxInFlight = Math.max(this.counters.maxInFlight, this.counters.inFlight)
    return entry
  }

  end(entry: OpenEntry, aborted: boolean) {
    entry.endedAt = Date.now()
    entry.aborted = aborted
    this.counters.inFlight--
    this.counters[aborted ? "aborted" : "finished"]++
  }

  stats(): Stats {
    return { ...this.counters }
  }

  /** All entries, or those whose request contains this text. */
  list(contains = ""): ReadonlyArray<LogEntry> {
    const needle = JSON.stringify(contains).slice(1, -1)
    return this.entries.filter(({ bodyText }) => bodyText.includes(needle)).map(toLogEntry)
  }

  /** The calls among all entries that would have been billed: refused ones would not. */
  bills(): ReadonlyArray<BilledCall> {
    return this.entries.flatMap(({ aborted, at, bill, endedAt, id, model }) =>
      bill === null ? [] : [{ id, at, model, aborted, inFlight: endedAt === null, ...bill }]
    )
  }

  /** Clears everything except the requests in flight. */
  reset() {
    this.entries = this.entries.filter(({ endedAt }) => endedAt === null)
    const { inFlight } = this.counters
    this.counters = { started: inFlight, finished: 0, aborted: 0, inFlight, maxInFlight: inFlight }
  }
}

const toLogEntry = ({ bodyText, ...entry }: OpenEntry): LogEntry => ({
  ...entry,
  body: parseOrNull(bodyText),
  inFlight: entry.endedAt === null
})

const parseOrNull = (text: string): unknown => {
  if (text === "") return null
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
