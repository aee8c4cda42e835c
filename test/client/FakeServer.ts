import { setTimeout as sleep } from "node:timers/promises"
import { ChatClient, type ClientOptions } from "../../client/src/index.ts"

export interface SentRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Headers
  readonly body: string
}

/** What answers a request; `reset` breaks the connection, a number of milliseconds answers 200 later. */
export type Answer = Response | "reset" | number

export const json = (body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } })

export const problem = (status: number, code: string, fields: Readonly<Record<string, unknown>> = {}): Response =>
  new Response(JSON.stringify({ code, detail: `It is ${code}`, status, ...fields }), {
    status,
    headers: { "content-type": "application/problem+json" }
  })

/** A client whose requests a function answers, and the requests that it sent. */
export const fakeServer = (
  answer: (request: SentRequest, number: number) => Answer,
  options: Partial<ClientOptions> = {}
): { readonly client: ChatClient; readonly requests: ReadonlyArray<SentRequest> } => {
  const requests: Array<SentRequest> = []
  const send: typeof fetch = async (input, init = {}) => {
    const request = new Request(input, init)
    const sent = {
      method: request.method,
      path: new URL(request.url).pathname,
      query: new URL(request.url).search.slice(1),
      headers: request.headers,
      body: await request.clone().text()
    }
    requests.push(sent)
    const given = answer(sent, requests.length)
    if (given === "reset") throw new TypeError("fetch failed")
    if (typeof given === "number") await sleep(given, undefined, { signal: request.signal })
    return typeof given === "number" ? json({}) : given
  }
  return { client: new ChatClient({ baseUrl: "http://api.test/", apiKey: "key", fetch: send, ...options }), requests }
}
