import { assert } from "vitest"
import { freshMobile, type Person, personAt, type Reply, request } from "../support/Client.ts"
import type { TestDatabase } from "../support/Database.ts"
import { forgetThrottles } from "../support/Database.ts"

/** Somebody who is logged in, with all that the login gave. */
export interface LoggedIn extends Person {
  readonly refreshToken: string
  readonly sid: string
  readonly isNewUser: boolean
}

export const sidOf = (token: string): string => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).sid

export const loggedIn = (base: string, reply: Reply): LoggedIn => {
  assert.strictEqual(reply.status, 200, reply.text)
  const { isNewUser, refreshToken, token, user } = reply.body
  return { ...personAt(base, { mobile: user.mobile, token, userId: user.id }), refreshToken, isNewUser, sid: sidOf(token) }
}

export const assertProblem = (reply: Reply, status: number, code: string) => {
  assert.strictEqual(`${reply.status} ${reply.body?.code}`, `${status} ${code}`, reply.text)
  assert.strictEqual(reply.headers.get("content-type"), "application/problem+json")
  assert.isString(reply.body.requestId)
  if (status === 401) assert.match(reply.headers.get("www-authenticate") ?? "", /^Bearer /)
  if (status === 429 || status === 503) assert.match(reply.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
}

type Purpose = "login" | "reset_password"
interface Code {
  readonly challengeId: string
  readonly otp: string
}

/** What people do at a backend, as fast as they like: what throttles them is forgotten. */
export const peopleAt = (base: string, database: TestDatabase) => {
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    request(base, "POST", path, { body, headers })
  const forget = () => forgetThrottles(database)
  const code = async (mobile: string, purpose: Purpose = "login", headers: Record<string, string> = {}): Promise<Code> => {
    await forget()
    const sent = await post(purpose === "login" ? "/auth/send-otp" : "/auth/forgot-password", { mobile }, headers)
    assert.strictEqual(sent.status, 200, sent.text)
    return { challengeId: sent.body.challengeId, otp: sent.body.otp }
  }
  const enter = async (mobile: string = freshMobile(), purpose: Purpose = "login", headers: Record<string, string> = {}) =>
    loggedIn(base, await post("/auth/verify-otp", { mobile, purpose, ...(await code(mobile, purpose, headers)) }, headers))
  return { post, forget, code, enter }
}

/** Makes a user's sessions older, and tells the processes that remember them. */
export const ageSessions = async (database: TestDatabase, userId: string, interval: string) => {
  await database.query("update sessions set created_at = created_at - $2::interval where user_id = $1", [userId, interval])
  await database.query("select pg_notify('changed', 'sessions:' || $1)", [userId])
}
