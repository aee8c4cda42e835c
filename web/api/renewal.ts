import { Problem } from "./problem.ts"
import { cookieHeader, forget, keep, refreshToken } from "./tokens.ts"
import { exchange, readAnswer } from "./transport.ts"
import type { ResponseOf } from "./contract.ts"

let running: Promise<void> | undefined

const exchangeTokens = async (): Promise<void> => {
  const known = refreshToken()
  try {
    const { number, response } = await exchange("POST /auth/refresh", {
      headers: cookieHeader,
      body: known === undefined ? {} : { refreshToken: known }
    })
    keep((await readAnswer(number, response)) as ResponseOf<"POST /auth/refresh">)
  } catch (error) {
    if (error instanceof Problem && error.status < 500 && error.status !== 429) forget()
    throw error
  }
}

/** One at a time over all tabs, because each refresh token can be used once. */
const alone = (work: () => Promise<void>): Promise<void> =>
  navigator.locks === undefined ? work() : navigator.locks.request("renewal", work)

/** Gets a new access token. A refusal ends the session of this page. */
export const renew = (): Promise<void> => {
  running ??= alone(exchangeTokens).finally(() => {
    running = undefined
  })
  return running
}
