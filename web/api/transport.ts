import * as exchanges from "./exchanges.ts"
import { addressOf, type Parts as Address } from "../../client/src/transport.ts"
import type { Operation } from "./contract.ts"
import { Problem, Unreachable } from "./problem.ts"
import { accessToken } from "./tokens.ts"

/** Where the API is: the page's files are in `assets/` of the same address, with `API_PREFIX` where that is the only way. */
export const baseUrl = new URL("..", import.meta.url).href.replace(/\/$/, "")

/** A request, whatever the operation. */
export interface Parts extends Pick<Address, "params" | "query"> {
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  /** A body that is sent as it is; its type is in `headers`. */
  readonly file?: File
  readonly signal?: AbortSignal
}

const defined = (values: Readonly<Record<string, string | undefined>> = {}) =>
  Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined)

/** Sends a request once, and records it. */
export const exchange = async (operation: Operation, parts: Parts): Promise<{ number: number; response: Response }> => {
  const [method, path] = addressOf(operation, parts)
  const token = accessToken()
  const body = parts.body === undefined ? undefined : JSON.stringify(parts.body)
  const headers = {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...Object.fromEntries(defined(parts.headers))
  }
  const number = exchanges.begin({ operation, method, path, headers, body, file: parts.file?.name })
  const init: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" }
  const sent = parts.file ?? body
  if (sent !== undefined) init.body = sent
  if (parts.signal !== undefined) init.signal = parts.signal
  try {
    const response = await fetch(baseUrl + path, init)
    exchanges.answered(number, response)
    return { number, response }
  } catch (error) {
    exchanges.failed(number)
    throw parts.signal?.aborted === true ? error : new Unreachable()
  }
}

/** The body of a response, or the problem that it is. */
export const readAnswer = async (number: number, response: Response): Promise<unknown> => {
  const text = await response.text().catch(() => {
    throw new Unreachable()
  })
  exchanges.addAnswer(number, text)
  const body: unknown = text !== "" && response.headers.get("content-type")?.includes("json") === true ? JSON.parse(text) : text
  if (!response.ok) throw new Problem(response.status, body)
  return body
}
