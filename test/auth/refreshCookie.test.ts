import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, peopleAt } from "./People.ts"

const days = 86_400
const asPage = { "x-refresh-token": "cookie", "sec-fetch-site": "same-origin" }

let database: TestDatabase
let secure: Awaited<ReturnType<typeof startBackend>>
let plain: typeof secure

beforeAll(async () => {
  database = await createDatabase()
  const settings = { DATABASE_URL: database.url, ROLE: "api", PASSWORD_LOGIN: "true", CORS_ORIGINS: "*" }
  ;[secure, plain] = await Promise.all([
    startBackend({ ...settings, APP_URL: "https://chat.example", SESSION_MAX_DAYS: "10" }),
    startBackend({ ...settings, APP_ENV: "development" })
  ])
})
afterAll(async () => {
  await Promise.all([secure.stop(), plain.stop()])
  await database.drop()
})

/** The response's one cookie, in its parts. */
const cookieOf = (reply: Reply) => {
  const [line = "", ...more] = reply.headers.getSetCookie()
  assert.isEmpty(more)
  const [pair = "", ...attributes] = line.split("; ")
  const [name = "", value = ""] = pair.split("=")
  return { name, value, attributes: attributes.sort(), pair }
}

const codeOf = async (mobile: string, purpose: "login" | "reset_password" = "login", base = secure.url) => ({
  mobile,
  purpose,
  ...(await peopleAt(base, database).code(mobile, purpose))
})

const logIn = async (base = secure.url, mobile = freshMobile()) => {
  const reply = await request(base, "POST", "/auth/verify-otp", { body: await codeOf(mobile, "login", base), headers: asPage })
  assert.strictEqual(reply.status, 200, reply.text)
  return { reply, mobile, token: String(reply.body.token), cookie: cookieOf(reply) }
}

const refresh = (cookie: string, headers: Record<string, string> = asPage, body: unknown = {}, base = secure.url) =>
  request(base, "POST", "/auth/refresh", { body, headers: { ...headers, cookie } })

describe("a login with X-Refresh-Token: cookie", () => {
  it("puts the refresh token into a cookie with the session's lifetime, and not into the body", async () => {
    const { cookie, reply } = await logIn()
    assert.notProperty(reply.body, "refreshToken")
    assert.strictEqual(cookie.name, "__Host-refresh")
    assert.match(cookie.value, /^[\w-]{90,}\.[\w-]{43}$/)
    const [httpOnly, maxAge = "", ...rest] = cookie.attributes
    assert.deepStrictEqual([httpOnly, ...rest], ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"])
    assert.approximately(Number(maxAge.slice("Max-Age=".length)), 10 * days, 60)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    assert.notInclude(reply.text, cookie.value)
  })

  it("names the cookie `refresh`, without Secure, on plain http in development", async () => {
    const { cookie } = await logIn(plain.url)
    assert.strictEqual(cookie.name, "refresh")
    assert.notInclude(cookie.attributes, "Secure")
    assert.includeMembers(cookie.attributes, ["HttpOnly", "SameSite=Strict", "Path=/"])
    assert.strictEqual((await refresh(cookie.pair, asPage, {}, plain.url)).status, 200)
  })

  it("does the same by password", async () => {
    const { mobile, token } = await logIn()
    const password = "an engine that weaves flowers"
    const changed = await request(secure.url, "POST", "/auth/change-password", { token, body: { newPassword: password } })
    assert.strictEqual(changed.status, 204, changed.text)
    const reply = await request(secure.url, "POST", "/auth/login", { body: { mobile, password }, headers: asPage })
    assert.strictEqual(reply.status, 200, reply.text)
    assert.notProperty(reply.body, "refreshToken")
    assert.strictEqual((await refresh(cookieOf(reply).pair)).status, 200)
  })

  it("sets no cookie for a recovery session, which cannot be refreshed", async () => {
    const { mobile } = await logIn()
    const body = await codeOf(mobile, "reset_password")
    const reply = await request(secure.url, "POST", "/auth/verify-otp", { body, headers: asPage })
    assert.strictEqual(reply.status, 200, reply.text)
    assert.notProperty(reply.body, "refreshToken")
    assert.isEmpty(reply.headers.getSetCookie())
  })

  it("is refused to a page of another origin, and uses up no code", async () => {
    const body = await codeOf(freshMobile())
    for (const site of ["same-site", "cross-site", "none"]) {
      const reply = await request(secure.url, "POST", "/auth/verify-otp", {
        body,
        headers: { ...asPage, "sec-fetch-site": site }
      })
      assertProblem(reply, 403, "cross_origin_cookie")
      assert.isEmpty(reply.headers.getSetCookie())
    }
    assert.strictEqual((await request(secure.url, "POST", "/auth/verify-otp", { body })).status, 200)
  })

  it("refuses any other value of the header", async () => {
    const body = await codeOf(freshMobile())
    const reply = await request(secure.url, "POST", "/auth/verify-otp", { body, headers: { "x-refresh-token": "body" } })
    assertProblem(reply, 400, "validation_failed")
    assert.strictEqual(reply.body.errors[0].path, "headers.x-refresh-token")
  })

  it("leaves a login without the header as it was", async () => {
    const reply = await request(secure.url, "POST", "/auth/verify-otp", { body: await codeOf(freshMobile()) })
    assert.isString(reply.body.refreshToken)
    assert.isEmpty(reply.headers.getSetCookie())
  })
})

describe("POST /auth/refresh with the cookie", () => {
  it("returns an access token and sets the next cookie", async () => {
    const { cookie } = await logIn()
    const reply = await refresh(`theme=dark; ${cookie.pair}`)
    assert.strictEqual(reply.status, 200, reply.text)
    assert.deepStrictEqual(Object.keys(reply.body).sort(), ["expiresIn", "token", "tokenType"])
    const next = cookieOf(reply)
    assert.notStrictEqual(next.value, cookie.value)
    assert.strictEqual((await request(secure.url, "GET", "/user/me", { token: reply.body.token })).status, 200)
    assert.strictEqual((await refresh(next.pair)).status, 200)
  })

  it("works in a browser that sends no Sec-Fetch-Site", async () => {
    const { cookie } = await logIn()
    assert.strictEqual((await refresh(cookie.pair, { "x-refresh-token": "cookie" })).status, 200)
  })

  it("ignores the cookie without the header", async () => {
    const { cookie } = await logIn()
    const reply = await refresh(cookie.pair, { "sec-fetch-site": "same-origin" })
    assertProblem(reply, 400, "validation_failed")
    assert.strictEqual(reply.body.errors[0].path, "/refreshToken")
  })

  it("refuses a page of another origin", async () => {
    const { cookie } = await logIn()
    for (const site of ["same-site", "cross-site", "none", "Same-Origin"]) {
      assertProblem(await refresh(cookie.pair, { ...asPage, "sec-fetch-site": site }), 403, "cross_origin_cookie")
    }
    assert.strictEqual((await refresh(cookie.pair)).status, 200)
  })

  it("refuses a token in the body beside the header, and does not exchange either", async () => {
    const { cookie } = await logIn()
    const other = await peopleAt(secure.url, database).enter()
    const reply = await refresh(cookie.pair, asPage, { refreshToken: other.refreshToken })
    assertProblem(reply, 400, "validation_failed")
    assert.strictEqual(reply.body.errors[0].path, "/refreshToken")
    const sessions = await database.query<{ counter: number }>("select counter from sessions where id = $1", [other.sid])
    assert.deepStrictEqual(sessions, [{ counter: 0 }])
    assert.strictEqual((await refresh(cookie.pair)).status, 200)
  })

  it("refuses a missing cookie, and one of another name", async () => {
    const { cookie } = await logIn()
    assertProblem(await refresh("theme=dark"), 401, "refresh_invalid")
    assertProblem(await refresh(`refresh=${cookie.value}`), 401, "refresh_invalid")
  })

  it("refuses the cookie of a session that has ended", async () => {
    const { cookie, token } = await logIn()
    assert.strictEqual((await request(secure.url, "POST", "/auth/logout", { token, body: {} })).status, 204)
    const reply = await refresh(cookie.pair)
    assertProblem(reply, 401, "refresh_invalid")
    assert.isEmpty(reply.headers.getSetCookie())
  })
})

describe("POST /auth/logout with the cookie", () => {
  const logout = (headers: Record<string, string>, body: unknown = {}) =>
    request(secure.url, "POST", "/auth/logout", { body, headers })

  it("ends the session without an access token, and clears the cookie", async () => {
    const { cookie, token } = await logIn()
    const reply = await logout({ ...asPage, cookie: cookie.pair })
    assert.strictEqual(reply.status, 204, reply.text)
    const cleared = cookieOf(reply)
    assert.deepStrictEqual([cleared.name, cleared.value], ["__Host-refresh", ""])
    assert.includeMembers(cleared.attributes, ["HttpOnly", "Max-Age=0", "Path=/", "SameSite=Strict", "Secure"])
    assertProblem(await request(secure.url, "GET", "/user/me", { token }), 401, "session_revoked")
    assertProblem(await refresh(cookie.pair), 401, "refresh_invalid")
  })

  it("works beside an access token that has ended", async () => {
    const { cookie } = await logIn()
    const reply = await logout({ ...asPage, cookie: cookie.pair, authorization: "Bearer expired" })
    assert.strictEqual(reply.status, 204, reply.text)
    assertProblem(await refresh(cookie.pair), 401, "refresh_invalid")
  })

  it("keeps the cookie when only the other sessions end", async () => {
    const { cookie, token } = await logIn()
    const reply = await logout({ ...asPage, cookie: cookie.pair, authorization: `Bearer ${token}` }, { scope: "others" })
    assert.strictEqual(reply.status, 204)
    assert.isEmpty(reply.headers.getSetCookie())
    assert.strictEqual((await refresh(cookie.pair)).status, 200)
  })

  it("ignores the cookie without the header, of another origin and of an ended session", async () => {
    const { cookie } = await logIn()
    assertProblem(await logout({ "sec-fetch-site": "same-origin", cookie: cookie.pair }), 401, "unauthenticated")
    assertProblem(await logout({ ...asPage, "sec-fetch-site": "cross-site", cookie: cookie.pair }), 401, "unauthenticated")
    assert.strictEqual((await logout({ ...asPage, cookie: cookie.pair })).status, 204)
    assertProblem(await logout({ ...asPage, cookie: cookie.pair }), 401, "unauthenticated")
  })

  it("counts for no other route", async () => {
    const { cookie } = await logIn()
    for (const path of ["/user/me", "/auth/sessions", "/chatroom"]) {
      const reply = await request(secure.url, "GET", path, { headers: { ...asPage, cookie: cookie.pair } })
      assertProblem(reply, 401, "unauthenticated")
    }
  })
})

describe("CORS", () => {
  it("never allows credentials, nor the header of the cookie", async () => {
    const preflight = await request(secure.url, "OPTIONS", "/auth/refresh", {
      headers: {
        origin: "https://other.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,x-refresh-token"
      }
    })
    assert.strictEqual(preflight.status, 204)
    assert.strictEqual(preflight.headers.get("access-control-allow-headers"), "content-type")
    assert.isNull(preflight.headers.get("access-control-allow-credentials"))
    const { cookie } = await logIn()
    const reply = await refresh(cookie.pair, { ...asPage, origin: "https://other.example" })
    assert.isNull(reply.headers.get("access-control-allow-credentials"))
  })
})
