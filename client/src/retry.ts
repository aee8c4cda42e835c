import { Problem, Unreachable } from "./Problem.ts"

/** How often and for how long failed requests are repeated. */
export interface Retries {
  /** Further attempts after the first one. */
  readonly count: number
  /** Seconds that a `Retry-After` may ask for; a longer one is not waited for. */
  readonly longestWait: number
}

export const defaultRetries: Retries = { count: 4, longestWait: 60 }

const firstDelay = 250
const longestDelay = 8_000

/** Milliseconds before the next attempt: exponential backoff with full jitter. */
export const backoff = (failures: number, first = firstDelay): number =>
  Math.random() * Math.min(longestDelay, first * 2 ** Math.min(failures, 10))

/** Whether the same request may succeed later. */
export const isTransient = (error: unknown): boolean =>
  error instanceof Unreachable || (error instanceof Problem && [408, 429, 502, 503, 504].includes(error.status))

/** Milliseconds to wait after a failure; undefined when the request is not to be repeated. */
export const delayOf = (error: unknown, failures: number, retries: Retries): number | undefined => {
  if (failures >= retries.count || !isTransient(error)) return undefined
  const retryAfter = error instanceof Problem ? error.retryAfter : undefined
  if (retryAfter === undefined) return backoff(failures)
  // The jitter is added, because an attempt before its time is refused again.
  return retryAfter > retries.longestWait ? undefined : retryAfter * 1_000 + backoff(failures)
}

type Listening = "addEventListener" | "removeEventListener"

/** Resolves after a pause, or as soon as `wake` has the event `online`; rejects with the signal's reason. */
export const sleep = (millis: number, signal: AbortSignal | undefined, wake?: Pick<EventTarget, Listening>): Promise<void> =>
  new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      wake?.removeEventListener("online", end)
      signal?.removeEventListener("abort", end)
      if (signal?.aborted === true) reject(signal.reason)
      else resolve()
    }
    const timer = setTimeout(end, millis)
    wake?.addEventListener("online", end)
    signal?.addEventListener("abort", end)
    if (signal?.aborted === true) end()
  })

/** The result of work that several callers share; a caller's signal ends only its own wait. */
export const shared = <A>(work: Promise<A>, signal: AbortSignal | undefined): Promise<A> => {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort)
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort))
  })
}
