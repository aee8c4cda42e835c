import type { Tokens as Answer } from "./contract.ts"
import { Problem } from "./Problem.ts"
import { shared, sleep } from "./retry.ts"

/** The tokens of a login. */
export interface Tokens {
  readonly accessToken: string
  /** Absent when the server keeps it in a cookie. */
  readonly refreshToken?: string | undefined
  /** Milliseconds since 1970 from which on the access token is exchanged before it is used. */
  readonly renewAt: number
}

/** Where tokens are kept. A store that outlives the process, or that tabs share, continues the session there. */
export interface TokenStore {
  readonly load: () => Tokens | undefined | Promise<Tokens | undefined>
  readonly save: (tokens: Tokens | undefined) => void | Promise<void>
}

export const memoryStore = (): TokenStore => {
  let kept: Tokens | undefined
  return { load: () => kept, save: (tokens) => void (kept = tokens) }
}

/** An access token is exchanged before it expires: 20 seconds, or a tenth of its life. */
const tokensOf = ({ expiresIn, refreshToken, token }: Answer, previous?: Tokens): Tokens => ({
  accessToken: token,
  refreshToken: refreshToken ?? previous?.refreshToken,
  renewAt: Date.now() + expiresIn * 1_000 - Math.min(20_000, expiresIn * 100)
})

/** Milliseconds that a write of another tab may need to become visible, and the time between two looks. */
const visibleWithin = 2_000
const lookEvery = 20

/**
 * Runs `work` alone among the tabs of a browser, because a refresh token can be used once. `hasWaited` says whether another
 * tab held the lock.
 */
const alone = async <A>(name: string, work: (hasWaited: boolean) => Promise<A>): Promise<A> => {
  const locks = typeof navigator === "undefined" ? undefined : navigator.locks
  if (locks === undefined) return work(false)
  const first = await locks.request(name, { ifAvailable: true }, async (lock) =>
    lock === null ? undefined : { result: await work(false) }
  )
  return first === undefined ? locks.request(name, () => work(true)) : first.result
}

interface Options {
  readonly store: TokenStore
  /** Of the lock that tabs share. */
  readonly name: string
  /** Whether the server keeps the refresh token in a cookie. */
  readonly isInCookie: boolean
  /** POST /auth/refresh; repeated with the same token when its response is lost. */
  readonly exchange: (refreshToken: string | undefined) => Promise<Answer>
  readonly onEnd: ((problem: Problem) => void) | undefined
}

/** The access token of a login, exchanged when it has expired: once, for however many calls wait for it. */
export class Session {
  private readonly options: Options
  private running: Promise<Tokens> | undefined

  constructor(options: Options) {
    this.options = options
  }

  async keep(answer: Answer): Promise<void> {
    await this.options.store.save(tokensOf(answer))
  }

  async forget(): Promise<void> {
    await this.options.store.save(undefined)
  }

  /** A token that is valid now, as far as the client can tell; undefined without a login. */
  async token(signal: AbortSignal | undefined): Promise<string | undefined> {
    const tokens = await this.options.store.load()
    if (tokens === undefined || Date.now() < tokens.renewAt) return tokens?.accessToken
    return (await this.renew(tokens.accessToken, signal)).accessToken
  }

  /** The token that follows `stale`. The signal ends only the caller's wait, because other calls need the token as well. */
  renew(stale: string | undefined, signal: AbortSignal | undefined): Promise<Tokens> {
    if (this.running === undefined) {
      const work = alone(this.options.name, (hasWaited) => this.exchange(stale, hasWaited)).finally(
        () => (this.running = undefined)
      )
      // Every caller may have given up when it fails.
      work.catch(() => {})
      this.running = work
    }
    return shared(this.running, signal)
  }

  /**
   * The stored tokens. After waiting for another tab they are expected to differ from `stale`: a browser shows a write to
   * localStorage in other tabs only some time after the lock has been released.
   */
  private async stored(stale: string | undefined, hasWaited: boolean): Promise<Tokens | undefined> {
    const { isInCookie, store } = this.options
    const until = hasWaited && !isInCookie ? Date.now() + visibleWithin : 0
    for (;;) {
      const tokens = await store.load()
      if (tokens === undefined || tokens.accessToken !== stale || Date.now() >= until) return tokens
      await sleep(lookEvery, undefined)
    }
  }

  private async exchange(stale: string | undefined, hasWaited: boolean): Promise<Tokens> {
    const { exchange, isInCookie, onEnd, store } = this.options
    const known = await this.stored(stale, hasWaited)
    // Another call, or another tab, has exchanged it meanwhile.
    if (known !== undefined && known.accessToken !== stale && Date.now() < known.renewAt) return known
    if (known?.refreshToken === undefined && !isInCookie) {
      throw new Problem(401, { code: "unauthenticated", detail: "An access token is required" })
    }
    try {
      const tokens = tokensOf(await exchange(known?.refreshToken), known)
      await store.save(tokens)
      return tokens
    } catch (error) {
      if (error instanceof Problem && [400, 401, 403].includes(error.status)) {
        await store.save(undefined)
        onEnd?.(error)
      }
      throw error
    }
  }
}
