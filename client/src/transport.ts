import type { Operations } from "./contract.ts"
import { Problem, Unreachable } from "./Problem.ts"

/** `GET /chatroom/:id` and so on: every operation of the API. */
export type Operation = keyof Operations

type Text = string | number | boolean | undefined

/** A request, whatever the operation. */
export interface Parts {
  readonly params?: Readonly<Record<string, string>> | undefined
  readonly query?: Readonly<Record<string, Text>> | undefined
  readonly headers?: Readonly<Record<string, Text>> | undefined
  /** JSON. */
  readonly body?: unknown
  /** A body that is sent as it is. */
  readonly file?: Blob | Uint8Array<ArrayBuffer> | ArrayBuffer | undefined
}

const textsOf = (values: Readonly<Record<string, Text>> = {}): Array<[string, string]> =>
  Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))

/** Method, and path with the query. */
export const addressOf = (operation: Operation, { params = {}, query }: Parts): readonly [method: string, path: string] => {
  const [method = "", template = ""] = operation.split(" ")
  const path = template.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""))
  const search = new URLSearchParams(textsOf(query)).toString()
  return [method, search === "" ? path : `${path}?${search}`]
}

export const initOf = (method: string, { body, file, headers }: Parts, token: string | undefined): RequestInit => ({
  method,
  headers: {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...Object.fromEntries(textsOf(headers))
  },
  ...(body === undefined && file === undefined ? {} : { body: file ?? JSON.stringify(body) })
})

/** The JSON of a response, its text, or undefined for an empty one. */
export const readBody = async (response: Response): Promise<unknown> => {
  const text = await response.text().catch((cause: unknown) => {
    throw new Unreachable(cause)
  })
  if (text === "") return undefined
  if (response.headers.get("content-type")?.includes("json") !== true) return text
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Unreachable(cause)
  }
}

/** Fails with the problem that a response is. */
export const orProblem = async (response: Response): Promise<Response> => {
  if (response.ok || response.status === 304) return response
  throw new Problem(response.status, await readBody(response), response.headers)
}

/** Ends an attempt after a time, and what it reads with it. */
export class Deadline {
  readonly signal: AbortSignal
  private readonly controller = new AbortController()
  private readonly timer: ReturnType<typeof setTimeout>
  private readonly caller: AbortSignal | undefined

  constructor(millis: number, caller: AbortSignal | undefined) {
    this.caller = caller
    this.signal = caller === undefined ? this.controller.signal : AbortSignal.any([caller, this.controller.signal])
    this.timer = setTimeout(() => this.controller.abort(), millis)
  }

  clear(): void {
    clearTimeout(this.timer)
  }

  /** What a failure of `fetch` means: the caller has given up, or there was no response. */
  failure(error: unknown): unknown {
    if (this.caller?.aborted === true) return this.caller.reason
    return error instanceof Problem || error instanceof Unreachable ? error : new Unreachable(error)
  }
}
