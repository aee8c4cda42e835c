import type { Database, Incarnation, Slot } from "./Fleet.ts"
import type { Ledger } from "./Ledger.ts"
import type { Model } from "./Model.ts"
import type { Random } from "./Random.ts"

/** Milliseconds after which a client gives a request up; none may need that long. */
export const patience = 30_000

/** What everybody in the test shares. */
export interface World {
  readonly slots: ReadonlyArray<Slot>
  readonly apis: readonly [Slot, Slot]
  readonly database: Database
  readonly model: Model
  readonly ledger: Ledger
  /** Nothing new is begun from then on; what was begun is brought to its end. */
  isClosing: boolean
  /** Readers whose reply has not ended by then have waited in vain. */
  readonly closesStreams: () => boolean
}

export interface Answer<Body> {
  /** 0 when the connection broke. */
  readonly status: number
  readonly body: Body
  readonly code: string | undefined
  readonly headers: Headers
  readonly askedAt: number
  readonly at: number
  /** The process that answered; undefined when it cannot be told. */
  readonly by: Incarnation | undefined
}

export interface Ask {
  readonly method: string
  readonly path: string
  readonly token?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
}

/** One request to one process. Broken connections are answers of status 0; what no server may answer is noted. */
export const ask = async <Body>(
  { ledger }: World,
  api: Slot,
  { method, path, token, body, headers }: Ask
): Promise<Answer<Body>> => {
  const askedAt = Date.now()
  const before = api.current
  const failed = (why: unknown) => {
    if (Date.now() - askedAt >= patience) ledger.violate("answers-in-time", `${api.name} ${method} ${path}: ${String(why)}`)
    return { status: 0, text: "", headers: new Headers() }
  }
  const {
    status,
    text,
    headers: received
  } = await fetch(api.url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(patience)
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
  return {
    status,
    body: parsed,
    code: status >= 400 ? parsed.code : undefined,
    headers: received,
    askedAt,
    at,
    by: api.current === before ? before : undefined
  }
}

/** Notes an answer that the contract does not have for its request. */
export const expect = (
  { ledger }: World,
  what: string,
  answer: Answer<unknown>,
  allowed: ReadonlyArray<number | string>
): void => {
  const { body, code = "", status } = answer
  if ([0, 401, 503].includes(status) || status >= 500 || allowed.includes(status) || allowed.includes(code)) return
  ledger.violate("expected-answer", `${what}: ${status} ${JSON.stringify(body)}`)
}

export const other = ({ apis: [first, second] }: World, api: Slot): Slot => (api === first ? second : first)
export const anyApi = ({ apis }: World, random: Random): Slot => random.pick(apis)
