import type { Operation, RequestOf, ResponseOf } from "./contract.ts"
import { Problem } from "./problem.ts"
import { renew } from "./renewal.ts"
import { isExpiring } from "./tokens.ts"
import { exchange, readAnswer } from "./transport.ts"

const isStale = (problem: Problem): boolean => problem.status === 401 && problem.code === "token_expired"

/** Sends a request with a valid access token: an expired one is exchanged first. */
export const withSession = async <A>(send: () => Promise<A>): Promise<A> => {
  if (isExpiring()) await renew()
  try {
    return await send()
  } catch (error) {
    if (!(error instanceof Problem) || !isStale(error)) throw error
    await renew()
    return send()
  }
}

interface Extras {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** Calls an operation of the contract. Fails with a `Problem` or `Unreachable`. */
export const call = <O extends Operation>(operation: O, request: RequestOf<O> & Extras): Promise<ResponseOf<O>> =>
  withSession(async () => {
    const { number, response } = await exchange(operation, request)
    // The server sends what its contract says; the page trusts its own server.
    return (await readAnswer(number, response)) as ResponseOf<O>
  })

/** Makes a repeated request safe: the server answers the second one with the first one's answer. */
export const idempotencyKey = (): { readonly "idempotency-key": string } => ({
  "idempotency-key": [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
})
