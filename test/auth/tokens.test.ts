import { createHmac } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { SignJWT } from "jose"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { topicOf } from "../../src/database/Topics.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, type Reply, request } from "../support/Client.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"

const secrets = { old: Buffer.from("the-old-key-that-is-being-retired!"), now: Buffer.from("the-new-key-that-signs-from-now-on") }
const keys = (...kids: Array<keyof typeof secrets>) => kids.map((kid) => `${kid}:${secrets[kid].toString("base64")}`).join(",")

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
/** What stands in Ada's good token. */
let claims: Record<string, unknown>

const segment = (token: string, index: number) => JSON.parse(Buffer.from(token.split(".")[index] ?? "", "base64url").toString())

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", JWT_KEYS: keys("now") })
  ada = await logIn(backend.url)
  claims = segment(ada.token, 1)
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const me = (authorization: string | undefined, base = backend.url) =>
  request(base, "GET", "/user/me", authorization === undefined ? {} : { headers: { authorization } })

const assertRefused = (reply: Reply, code: string) => {
  assert.strictEqual(`${reply.status} ${reply.body?.code}`, `401 ${code}`, reply.text)
  assert.strictEqual(reply.headers.get("content-type"), "application/problem+json")
  assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
  const challenge = reply.headers.get("www-authenticate") ?? ""
  if (code === "unauthenticated") assert.strictEqual(challenge, 'Bearer realm="chat-backend"')
  else assert.match(challenge, /^Bearer realm="chat-backend", error="invalid_token", error_description="[^"]+"$/)
  assert.strictEqual(reply.body.requestId, reply.headers.get("x-request-id"))
}

const now = () => Math.floor(Date.now() / 1000)
const goodHeader = { alg: "HS256", typ: "at+jwt", kid: "now" }

/** A token as its owner would make it, but for what is said otherwise. */
const forge = (
  changes: {
    readonly header?: Record<string, unknown>
    readonly claims?: Record<string, unknown>
    readonly secret?: Uint8Array
  } = {}
) => {
  const merged = { ...claims, ...changes.claims }
  return new SignJWT(Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)))
    .setProtectedHeader({ ...goodHeader, ...changes.header })
    .sign(changes.secret ?? secrets.now)
}

describe("a valid token", () => {
  it("opens a protected route, with the scheme in any case", async () => {
    assert.strictEqual((await me(`Bearer ${ada.token}`)).status, 200)
    assert.strictEqual((await me(`bearer ${ada.token}`)).status, 200)
  })

  it("contains its type and no data about its user", () => {
    assert.deepStrictEqual(segment(ada.token, 0), goodHeader)
    assert.deepStrictEqual(Object.keys(claims).sort(), ["aud", "exp", "iat", "iss", "jti", "sid", "sub"])
    assert.strictEqual(claims["sub"], ada.userId)
    assert.strictEqual(Number(claims["exp"]) - Number(claims["iat"]), 3600)
  })

  it("is accepted when `forge` makes it without changes", async () => {
    assert.strictEqual((await me(`Bearer ${await forge()}`)).status, 200)
  })

  it("belongs to its own session: two logins of a user get two tokens", async () => {
    await forgetThrottles(database)
    const again = await logIn(backend.url, ada.mobile)
    assert.strictEqual(again.userId, ada.userId)
    assert.notStrictEqual(segment(again.token, 1).sid, claims["sid"])
    assert.notStrictEqual(segment(again.token, 1).jti, claims["jti"])
  })
})

describe("a request without a token", () => {
  it.each([undefined, "", "Bearer", "Bearer ", "Basic YWRhOnNlY3JldA==", "Token x"])(
    "is refused with the header %j",
    async (authorization) => {
      assertRefused(await me(authorization), "unauthenticated")
    }
  )

  it("is refused when the header has another scheme or none", async () => {
    assertRefused(await me(`Basic ${ada.token}`), "unauthenticated")
    assertRefused(await me(ada.token), "unauthenticated")
  })

  it("is refused when the token is in the query", async () => {
    assertRefused(await request(backend.url, "GET", `/user/me?access_token=${ada.token}`), "unauthenticated")
  })
})

describe("a token that the server did not sign", () => {
  it.each(["x", "x.y", "x.y.z", "..", "a.b.c.d.e", "null", "%00", "eyJhbGciOiJIUzI1NiJ9.e30."])(
    "is refused: %j",
    async (token) => {
      assertRefused(await me(`Bearer ${token}`), "token_invalid")
    }
  )

  it("is refused when one of its three parts was changed", async () => {
    const parts = ada.token.split(".")
    const swap = (text: string) => `${text.startsWith("A") ? "B" : "A"}${text.slice(1)}`
    for (const index of [0, 1, 2]) {
      const token = parts.map((part, at) => (at === index ? swap(part) : part)).join(".")
      assertRefused(await me(`Bearer ${token}`), "token_invalid")
    }
    const mallory = Buffer.from(JSON.stringify({ ...claims, sub: "01900000-0000-7000-8000-000000000000" })).toString("base64url")
    assertRefused(await me(`Bearer ${parts[0]}.${mallory}.${parts[2]}`), "token_invalid")
    assertRefused(await me(`Bearer ${parts[0]}.${parts[1]}.`), "token_invalid")
    assertRefused(await me(`Bearer ${ada.token}x`), "token_invalid")
  })

  it.each(["none", "None", "NONE"])("is refused when it is unsigned: alg %s", async (alg) => {
    const [header, body] = [{ ...goodHeader, alg }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    assertRefused(await me(`Bearer ${header}.${body}.`), "token_invalid")
    const mac = createHmac("sha256", secrets.now).update(`${header}.${body}`).digest("base64url")
    assertRefused(await me(`Bearer ${header}.${body}.${mac}`), "token_invalid")
  })

  it("is refused when it is signed with the key by another algorithm", async () => {
    for (const alg of ["HS384", "HS512"]) {
      const secret = Buffer.concat([secrets.now, secrets.now])
      assertRefused(await me(`Bearer ${await forge({ header: { alg }, secret })}`), "token_invalid")
    }
  })

  it("is refused when it is signed with another key", async () => {
    assertRefused(await me(`Bearer ${await forge({ secret: secrets.old })}`), "token_invalid")
    assertRefused(await me(`Bearer ${await forge({ secret: Buffer.from("changeme") })}`), "token_invalid")
  })

  it.each([
    { kid: "old" },
    { kid: "" },
    { kid: undefined },
    { kid: "__proto__" },
    { kid: "../now" },
    { typ: "JWT" },
    { typ: undefined },
    { typ: "rt+jwt" },
    { crit: ["exp"] }
  ])("has the header %j", async (header) => {
    const [head, body] = [{ ...goodHeader, ...header }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString("base64url")
    )
    const mac = createHmac("sha256", secrets.now).update(`${head}.${body}`).digest("base64url")
    assertRefused(await me(`Bearer ${head}.${body}.${mac}`), "token_invalid")
  })

  it.each(["iss", "aud", "sub", "sid", "jti", "iat", "exp"])("is refused without the claim %s", async (claim) => {
    assertRefused(await me(`Bearer ${await forge({ claims: { [claim]: undefined } })}`), "token_invalid")
  })

  it.each([
    { iss: "somebody-else" },
    { iss: ["chat-backend"] },
    { aud: "somebody-else" },
    { aud: [] },
    { sub: "ada" },
    { sub: "" },
    { sub: 7 },
    { sid: "1' or '1'='1" },
    { sid: null },
    { exp: "tomorrow" },
    { nbf: 4_102_444_800 },
    { iat: 4_102_444_800, exp: 4_102_448_400 }
  ])("claims %j", async (wrong) => {
    assertRefused(await me(`Bearer ${await forge({ claims: wrong })}`), "token_invalid")
  })

  it("is refused above 4 KiB, even when it is signed correctly", async () => {
    const long = await forge({ claims: { more: "x".repeat(4_000) } })
    assert.isAbove(long.length, 4_096)
    assertRefused(await me(`Bearer ${long}`), "token_invalid")
    const short = await forge({ claims: { more: "x".repeat(1_000) } })
    assert.strictEqual((await me(`Bearer ${short}`)).status, 200)
  })
})

describe("a token that was valid", () => {
  it("is refused when it has expired", async () => {
    const reply = await me(`Bearer ${await forge({ claims: { iat: now() - 3_610, exp: now() - 10 } })}`)
    assertRefused(reply, "token_expired")
  })

  it("is refused when it is older than the longest lifetime, even with a later expiry", async () => {
    assertRefused(await me(`Bearer ${await forge({ claims: { iat: now() - 86_400, exp: now() + 86_400 } })}`), "token_expired")
  })

  it.each([-55, 55])("accepts a new token of a process whose clock is %i seconds off", async (skew) => {
    const iat = now() + skew
    assert.strictEqual((await me(`Bearer ${await forge({ claims: { iat, exp: iat + 3_600 } })}`)).status, 200)
  })

  it("refuses a token of a process whose clock is two minutes ahead", async () => {
    const iat = now() + 120
    assertRefused(await me(`Bearer ${await forge({ claims: { iat, exp: iat + 3_600 } })}`), "token_invalid")
  })

  it("expires while it is cached", async () => {
    const token = await forge({ claims: { iat: now() - 3_600, exp: now() - 3 } })
    // Five seconds of tolerance for clocks that differ.
    assert.strictEqual((await me(`Bearer ${token}`)).status, 200)
    await sleep(3_500)
    assertRefused(await me(`Bearer ${token}`), "token_expired")
  })

  it("ends with its session", async () => {
    const bob = await logIn(backend.url)
    await database.query("update sessions set revoked_at = now() where user_id = $1", [bob.userId])
    assertRefused(await me(`Bearer ${bob.token}`), "session_revoked")
    assert.strictEqual((await me(`Bearer ${ada.token}`)).status, 200)
  })

  it("ends with its session at once, even if it was just used", async () => {
    const bob = await logIn(backend.url)
    assert.strictEqual((await me(`Bearer ${bob.token}`)).status, 200)
    await database.query(
      "with ended as (update sessions set revoked_at = now() where user_id = $1) select pg_notify('changed', $2)",
      [bob.userId, topicOf("sessions", bob.userId)]
    )
    const deadline = Date.now() + 2_000
    let reply = await me(`Bearer ${bob.token}`)
    while (reply.status === 200 && Date.now() < deadline) reply = await me(`Bearer ${bob.token}`)
    assertRefused(reply, "session_revoked")
    assert.strictEqual((await me(`Bearer ${ada.token}`)).status, 200)
  })

  it("ends with the session's own end", async () => {
    const bob = await logIn(backend.url)
    await database.query("update sessions set expires_at = now() - interval '1 second' where user_id = $1", [bob.userId])
    assertRefused(await me(`Bearer ${bob.token}`), "session_revoked")
  })

  it("ends with its user", async () => {
    const bob = await logIn(backend.url)
    await database.query("delete from users where id = $1", [bob.userId])
    assertRefused(await me(`Bearer ${bob.token}`), "session_revoked")
  })

  it("is refused when it names another user's session", async () => {
    const bob = await logIn(backend.url)
    assertRefused(await me(`Bearer ${await forge({ claims: { sid: segment(bob.token, 1).sid } })}`), "session_revoked")
  })
})

describe("rotating the key", () => {
  it("accepts tokens and codes of the old key, and signs with the new one", async () => {
    const before = await startBackend({ DATABASE_URL: database.url, ROLE: "api", JWT_KEYS: keys("old") })
    const bob = await logIn(before.url)
    const sent = (await request(before.url, "POST", "/auth/send-otp", { body: { mobile: bob.mobile } })).body
    await before.stop()

    const during = await startBackend({ DATABASE_URL: database.url, ROLE: "api", JWT_KEYS: keys("now", "old") })
    assert.strictEqual((await me(`Bearer ${bob.token}`, during.url)).status, 200)
    const login = await request(during.url, "POST", "/auth/verify-otp", {
      body: { mobile: bob.mobile, otp: sent.otp, challengeId: sent.challengeId }
    })
    assert.strictEqual(login.status, 200)
    assert.strictEqual(segment(login.body.token, 0).kid, "now")
    await during.stop()

    // The third backend of this file knows the new key alone.
    assertRefused(await me(`Bearer ${bob.token}`), "token_invalid")
    assert.strictEqual((await me(`Bearer ${login.body.token}`)).status, 200)
  })
})
