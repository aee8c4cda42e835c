import type { RestartablePostgres } from "./RestartablePostgres.ts"
import type { Incarnation, SupervisedProcess } from "./SupervisedProcess.ts"
import type { Ledger } from "./Ledger.ts"
import type { Model } from "./Model.ts"
import type { Random } from "./Random.ts"

/** Milliseconds after which a client gives up a request; every answer must be faster. */
export const maxWaitMillis = 30_000

/** What the latency of honest users is measured beside. */
export type Beside = "honest users alone" | "hostile users"

/** The processes under test, and what all parts of the experiment share. */
export interface Experiment {
  readonly processes: ReadonlyArray<SupervisedProcess>
  readonly apis: readonly [SupervisedProcess, SupervisedProcess]
  readonly database: RestartablePostgres
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
  readonly code: string | undefined
  readonly headers: Headers
  readonly askedAt: number
  readonly at: number
  /** Whether the process was suspended, or cut off from Postgres, while it was asked. */
  readonly wasSilent: boolean
  /** The process that answered; undefined when it was restarted meanwhile. */
  readonly by: Incarnation | undefined
}

export interface Ask {
  readonly method: string
  readonly path: string
  readonly token?: string | undefined
  readonly body?: unknown
  readonly headers?: Record<string, string> | undefined
}

/** Sends one request to one process. A broken connection is an answer of status 0; forbidden answers are violations. */
export const ask = async <Body>(
  { measuredBeside, ledger }: Experiment,
  api: SupervisedProcess,
  { method, path, token, body, headers }: Ask
): Promise<Answer<Body>> => {
  const askedAt = Date.now()
  const before = api.current
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
    signal: AbortSignal.timeout(maxWaitMillis)
  })
    .then(async (response) => ({ status: response.status, text: await response.text(), headers: response.headers }))
    .catch(failed)

  const at = Date.now()
  ledger.count("requests")
  if (status === 0) ledger.count("broken connections")
  if (status === 503) ledger.count("answers 503")
  ledger.most("slowest answer (ms)", at - askedAt)
  if (status >= 500 && status !== 503) ledger.violate("no-5xx", `${api.name} ${method} ${path}: ${status} ${text}`)
  if (status === 401) ledger.violate("no-401", `${api.name} ${method} ${path}: ${text}`)
  const isJson = received.get("content-type")?.includes("json") === true
  const parsed = (isJson && text !== "" ? JSON.parse(text) : {}) as Body & { code?: string }
  // A request that waits for its reply takes as long as the reply does.
  if (measuredBeside !== undefined && !path.includes("wait=")) ledger.answered(measuredBeside, "requests", status, at - askedAt)
  return {
    status,
    body: parsed,
    code: status >= 400 ? parsed.code : undefined,
    headers: received,
    askedAt,
    at,
    wasSilent: api.silentFor(askedAt, at) !== undefined,
    by: api.current === before ? before : undefined
  }
}

/** Notes a violation when the contract does not allow the answer. */
export const expect = (
  { ledger }: Experiment,
  what: string,
  answer: Answer<unknown>,
  allowed: ReadonlyArray<number | string>
): void => {
  const { body, code = "", status, wasSilent } = answer
  if (status === 408 && wasSilent) return
  if ([0, 401, 503].includes(status) || status >= 500 || allowed.includes(status) || allowed.includes(code)) return
  ledger.violate("expected-answer", `${what}: ${status} ${JSON.stringify(body)}`)
}

export const other = ({ apis: [first, second] }: Experiment, api: SupervisedProcess): SupervisedProcess =>
  api === first ? second : first
export const anyApi = ({ apis }: Experiment, random: Random): SupervisedProcess => random.pick(apis)
