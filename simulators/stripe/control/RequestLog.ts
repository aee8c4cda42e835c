import type { Form } from "../wire/Form.ts"

/** How many requests are kept. */
const logLimit = 20_000

/** One call of the API as the simulator saw it. */
export interface RequestEntry {
  /** `req_…`, as in the header `request-id` and in the events it caused. */
  readonly id: string
  /** When it arrived, in milliseconds since 1970 of real time. */
  readonly at: number
  readonly method: string
  readonly path: string
  /** Query or body, as nested hashes of text. */
  readonly parameters: Form
  readonly idempotencyKey: string | null
  /** Null until an answer is sent. */
  status: number | null
  /** The kind of its fault, if any. */
  fault: string | null
  /** Whether the answer was that of an earlier request with the same idempotency key. */
  replayed: boolean
}

/** The newest calls, oldest first. */
export class RequestLog {
  private entries: Array<RequestEntry> = []

  add(entry: RequestEntry): RequestEntry {
    this.entries.push(entry)
    if (this.entries.length > logLimit) this.entries.shift()
    return entry
  }

  list({
    method,
    path
  }: { readonly method?: string | undefined; readonly path?: string | undefined } = {}): ReadonlyArray<RequestEntry> {
    return this.entries.filter((entry) => (method ?? entry.method) === entry.method && entry.path.startsWith(path ?? ""))
  }

  clear() {
    this.entries = []
  }
}
