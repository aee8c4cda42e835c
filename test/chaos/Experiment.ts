import type { Incarnation, SupervisedProcess } from "./SupervisedProcess.ts"
import type { Ledger } from "./Ledger.ts"
import type { Model } from "./Model.ts"
import type { Random } from "./Random.ts"
import type { QueryResultRow } from "pg"

/** Milliseconds after which a client gives up a request; every answer must be faster. */
export const maxWaitMillis = 30_000

/** What the latency of honest users is measured beside. */
export type Beside = "honest users alone" | "hostile users"

/** Where users send requests: a process, or a proxy in front of several. */
export interface Api {
  readonly name: string
  readonly url: string
  /** The process that sent a response; undefined when it is not known. */
  readonly senderOf: (headers: Headers) => SupervisedProcess | undefined
  /** Statuses of a proxy that has lost the process while it waited for the response. */
  readonly brokenStatuses?: ReadonlyArray<number>
}

/** The status of a response; 0 when a proxy says that the connection behind it broke. */
export const statusAt = ({ brokenStatuses = [] }: Api, status: number): number => (brokenStatuses.includes(status) ? 0 : status)

/** The database as the experiment reads it. */
export interface Database {
  readonly query: <Row extends QueryResultRow>(sql: string, values?: ReadonlyArray<unknown>) => Promise<Array<Row>>
  /** Whether it was down at any moment of this period. */
  readonly wasDown: (from: number, until: number) => boolean
}

/** The processes under test, and what all parts of the experiment share. */
export interface Experiment {
  readonly processes: ReadonlyArray<SupervisedProcess>
  readonly apis: readonly [Api, Api]
  readonly database: Database
  readonly model: Model
  readonly ledger: Ledger
  /** Once true, no user begins anything new. */
  isClosing: boolean
  /** Whether a stream that has not ended by now is a violation. */
  readonly closesStreams: () => boolean
  /** Beside what the latency of requests that begin now is measured; undefined when it is not. */
  measuredBeside: Beside | undefined
}

/** What the trusted proxy reports of honest users. */
export const honestAddress = { "x-forwarded-for": "198.51.100.7" }

export interface Answer<Body> {
  /** 0 when the connection broke. */
  readonly status: number
  readonly body: Body
  readonly text: string
  readonly code: string | undefined
  readonly headers: Headers
  readonly askedAt: number
  readonly at: number
  /** Milliseconds since the process was suspended or cut off, when it was asked in such a time; undefined when not. */
  readonly silentFor: number | undefined
  /** The process that answered; undefined when it was restarted meanwhile. */
  readonly by: Incarnation | undefined
}

export interface Ask {
  readonly method: string
  readonly path: string
  readonly token?: string | undefined
  readonly body?: unknown
  /** A body that is not JSON. */
  readonly bytes?: Uint8Array<ArrayBuffer> | undefined
  readonly headers?: Record<string, string> | undefined
}

/** Sends one request to one process. A broken connection is an answer of status 0; forbidden answers are violations. */
export const ask = async <Body>(
  { measuredBeside, ledger }: Experiment,
  api: Api,
  { method, path, token, body, bytes, headers }: Ask
): Promise<Answer<Body>> => {
  const askedAt = Date.now()
  const failed = (why: unknown) => {
    if (Date.now() - askedAt >= maxWaitMillis) ledger.violate("answers-in-time", `${api.name} ${method} ${path}: ${String(why)}`)
    return { status: 0, text: "", headers: new Headers() }
  }
  const {
    status,
    text,
    headers: received
  } = await fetch(api.url + path, {
    method,
    headers: {
      ...honestAddress,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(bytes === undefined ? {} : { body: bytes }),
    signal: AbortSignal.timeout(maxWaitMillis)
  })
    .then(async (response) => ({
      status: statusAt(api, response.status),
      text: await response.text(),
      headers: response.headers
    }))
    .catch(failed)

  const at = Date.now()
  ledger.count("requests")
  if (status === 0) ledger.count("broken connections")
  if (status === 503) ledger.count("answers 503")
  if (status === 0 || status >= 500)
    ledger.failures.push({ askedAt, at, what: `${method} ${path}: ${status} ${text.slice(0, 300)}` })
  ledger.most("slowest answer (ms)", at - askedAt)
  if (status >= 500 && status !== 503) ledger.violate("no-5xx", `${api.name} ${method} ${path}: ${status} ${text}`)
  if (status === 401) ledger.violate("no-401", `${api.name} ${method} ${path}: ${text}`)
  const isJson = received.get("content-type")?.includes("json") === true
  const parsed = (isJson && text !== "" ? JSON.parse(text) : {}) as Body & { code?: string }
  // A request that waits for its reply takes as long as the reply does.
  if (measuredBeside !== undefined && !path.includes("wait=")) ledger.answered(measuredBeside, "requests", status, at - askedAt)
  const sender = api.senderOf(received)
  return {
    status,
    body: parsed,
    text,
    code: status >= 400 ? parsed.code : undefined,
    headers: received,
    askedAt,
    at,
    silentFor: sender?.silentFor(askedAt, at),
    by: sender?.current !== undefined && sender.current.startedAt <= askedAt ? sender.current : undefined
  }
}

/** Notes a violation when the contract does not allow the answer. */
export const expect = (
  { ledger }: Experiment,
  what: string,
  answer: Answer<unknown>,
  allowed: ReadonlyArray<number | string>
): void => {
  const { body, code = "", silentFor, status } = answer
  if (status === 408 && silentFor !== undefined) return
  if ([0, 401, 503].includes(status) || status >= 500 || allowed.includes(status) || allowed.includes(code)) return
  ledger.violate("expected-answer", `${what}: ${status} ${JSON.stringify(body)}`)
}

export const other = <A>({ apis: [first, second] }: { readonly apis: readonly [A, A] }, api: A): A =>
  api === first ? second : first
export const anyApi = <A>({ apis }: { readonly apis: readonly [A, A] }, random: Random): A => random.pick(apis)
