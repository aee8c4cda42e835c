import { computed, signal } from "@preact/signals"
import { remember, remembered } from "../state/storage.ts"

interface Tokens {
  readonly access: string
  readonly expiresAt: number
  /** Undefined when the server keeps it in a cookie. */
  readonly refresh: string | undefined
}

interface Answer {
  readonly token: string
  readonly expiresIn: number
  readonly refreshToken?: string | undefined
}

/**
 * The tokens of this page, in memory only. The refresh token is in a cookie that no script can read; a server that does not
 * know the cookie sends it in the body, and the session ends with the page.
 */
const tokens = signal<Tokens | undefined>(undefined)

/** Milliseconds before its end at which an access token is exchanged. */
const margin = 20_000

/** Asks the server to keep the refresh token in a cookie. */
export const cookieHeader = { "x-refresh-token": "cookie" }

export const isLoggedIn = computed(() => tokens.value !== undefined)
export const accessToken = (): string | undefined => tokens.peek()?.access
export const refreshToken = (): string | undefined => tokens.peek()?.refresh
export const isExpiring = (): boolean => (tokens.peek()?.expiresAt ?? Infinity) - margin < Date.now()
/** Whether the session outlives this page. */
export const isInCookie = (): boolean => tokens.peek() !== undefined && refreshToken() === undefined

/** Says that there may be a session's cookie, which script cannot see; it spares a request that would be refused. */
const hint = "session"
export const mayHaveCookie = (): boolean => remembered(hint) !== undefined

export const keep = ({ expiresIn, refreshToken, token }: Answer): void => {
  tokens.value = { access: token, expiresAt: Date.now() + expiresIn * 1_000, refresh: refreshToken }
  remember(hint, isInCookie() ? "in a cookie" : undefined)
}

export const forget = (): void => {
  tokens.value = undefined
  remember(hint, undefined)
}
