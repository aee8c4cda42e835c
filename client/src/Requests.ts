import { keyed, type Tokens } from "./contract.ts"
import { Problem } from "./Problem.ts"
import { delayOf, type Retries, sleep } from "./retry.ts"
import { Session, type TokenStore } from "./Session.ts"
import { addressOf, Deadline, initOf, type Operation, orProblem, type Parts, readBody } from "./transport.ts"

export interface RequestParts extends Parts {
  readonly signal?: AbortSignal | undefined
  readonly idempotencyKey?: string | undefined
  readonly timeout?: number | undefined
}

interface Options {
  readonly baseUrl: string
  readonly apiKey: string | undefined
  readonly tokens: TokenStore
  readonly isInCookie: boolean
  readonly onSessionEnd: ((problem: Problem) => void) | undefined
  readonly retries: Retries
  readonly timeout: number
  readonly fetch: typeof fetch | undefined
}

/** Takes what it needs of a response, within the time of the attempt. */
type Read<A> = (response: Response) => A | Promise<A>

const isIdempotent = (operation: Operation): boolean => /^(?:GET|PUT|DELETE) /.test(operation)
/** Whether the operation needs no login, so that it works while a stored session can no longer be renewed. */
const isAnonymous = (operation: Operation): boolean => /^POST \/auth\/(?!logout$|change-password$)/.test(operation)

/** 24 hexadecimal digits; `crypto.randomUUID` is missing on pages without https. */
const newKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")

/** Sends requests: with a valid access token, within a time, and again where that is safe. */
export class Requests {
  readonly session: Session
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
    this.session = new Session({
      store: options.tokens,
      name: `gemini-chat-client ${options.baseUrl}`,
      isInCookie: options.isInCookie,
      exchange: (refreshToken) => this.exchangeTokens(refreshToken),
      onEnd: options.onSessionEnd
    })
  }

  /** Asks the server to keep the refresh token in a cookie, if the client is to. */
  get cookieHeader(): Readonly<Record<string, string>> {
    return this.options.isInCookie ? { "x-refresh-token": "cookie" } : {}
  }

  /** Sends a request, again when it fails and is idempotent by its method or by a key. */
  send<A>(operation: Operation, parts: RequestParts, read: Read<A>): Promise<A> {
    if (isIdempotent(operation)) return this.repeat(() => this.once(operation, parts, read), parts.signal)
    if (!keyed.has(operation)) return this.once(operation, parts, read)
    const headers = { ...parts.headers, "idempotency-key": parts.idempotencyKey ?? newKey() }
    return this.repeat(() => this.once(operation, { ...parts, headers }, read), parts.signal)
  }

  /** Sends a request with a valid access token; an expired one is exchanged first. */
  async once<A>(operation: Operation, parts: RequestParts, read: Read<A>): Promise<A> {
    const { apiKey } = this.options
    if (apiKey !== undefined || isAnonymous(operation)) return this.attempt(operation, parts, read, apiKey)
    const token = await this.session.token(parts.signal)
    try {
      return await this.attempt(operation, parts, read, token)
    } catch (error) {
      // It was refused, so nothing was done.
      if (!(error instanceof Problem) || error.code !== "token_expired" || token === undefined) throw error
      const { accessToken } = await this.session.renew(token, parts.signal)
      return this.attempt(operation, parts, read, accessToken)
    }
  }

  /** Fetches a path of the API within the time of an attempt. */
  async fetch<A>(path: string, init: RequestInit, parts: RequestParts, read: Read<A>): Promise<A> {
    const { baseUrl, fetch = globalThis.fetch } = this.options
    const { signal, timeout = this.options.timeout } = parts
    signal?.throwIfAborted()
    const deadline = new Deadline(timeout, signal)
    try {
      const response = await fetch(baseUrl + path, { ...init, signal: deadline.signal })
      return await read(await orProblem(response))
    } catch (error) {
      throw deadline.failure(error)
    } finally {
      deadline.clear()
    }
  }

  private attempt<A>(operation: Operation, parts: RequestParts, read: Read<A>, token?: string): Promise<A> {
    const [method, path] = addressOf(operation, parts)
    return this.fetch(path, initOf(method, parts, token), parts, read)
  }

  /** The old token works until the new one was used, so a lost response is asked for again. */
  private async exchangeTokens(refreshToken: string | undefined): Promise<Tokens> {
    const parts = { headers: this.cookieHeader, body: refreshToken === undefined ? {} : { refreshToken } }
    return (await this.repeat(() => this.attempt("POST /auth/refresh", parts, readBody), undefined)) as Tokens
  }

  private async repeat<A>(attempt: () => Promise<A>, signal: AbortSignal | undefined): Promise<A> {
    for (let failures = 0; ; failures++) {
      try {
        return await attempt()
      } catch (error) {
        const delay = signal?.aborted === true ? undefined : delayOf(error, failures, this.options.retries)
        if (delay === undefined) throw error
        await sleep(delay, signal)
      }
    }
  }
}
