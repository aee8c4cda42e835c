import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { startBackend, startProcess } from "../support/Backend.ts"
import { freshMobile, type Person, personAt, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { ageSessions, assertProblem, loggedIn, peopleAt } from "./People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

/** How much argon2 is worked on, counted where it is called. */
const argon2 = vi.hoisted(() => ({ running: 0, most: 0, calls: 0, lingerMillis: 0 }))
vi.mock("@node-rs/argon2", async (load) => {
  const real = await load<typeof import("@node-rs/argon2")>()
  const counted = async <A>(work: () => Promise<A>): Promise<A> => {
    argon2.calls++
    argon2.most = Math.max(argon2.most, ++argon2.running)
    return work()
      .finally(() => sleep(argon2.lingerMillis))
      .finally(() => argon2.running--)
  }
  return {
    ...real,
    hash: (...all: Parameters<typeof real.hash>) => counted(() => real.hash(...all)),
    verify: (...all: Parameters<typeof real.verify>) => counted(() => real.verify(...all))
  }
})

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let other: typeof backend
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  database = await createDatabase()
  const settings = { DATABASE_URL: database.url, ROLE: "api", PASSWORD_LOGIN: "true" }
  ;[backend, other] = await Promise.all([startBackend(settings), startBackend(settings)])
  people = peopleAt(backend.url, database)
})
afterAll(async () => {
  await Promise.all([backend.stop(), other.stop()])
  await database.drop()
})

const good = "correct horse battery staple"
const better = "another horse, another battery"

const change = (person: Person, body: { readonly currentPassword?: string; readonly newPassword: string }) =>
  person.call("POST", "/auth/change-password", body)
const passwordLogin = (mobile: string, password: string) => people.post("/auth/login", { mobile, password })
const elsewhere = (person: Person) => personAt(other.url, person)
const statusOf = async (person: Person) => (await person.call("GET", "/user/me")).status

/** Somebody new with the good password. */
const someone = async () => {
  const person = await people.enter()
  assert.strictEqual((await change(person, { newPassword: good })).status, 204)
  return person
}

describe("a first password", () => {
  it("is set after a recent login, and /user/me of every process shows it", async () => {
    const ada = await people.enter()
    assert.strictEqual((await elsewhere(ada).call("GET", "/user/me")).body.hasPassword, false)
    const set = await change(ada, { newPassword: good })
    assert.strictEqual(`${set.status}${set.text}`, "204")
    assert.strictEqual(set.headers.get("cache-control"), "private, no-store")
    assert.strictEqual((await ada.call("GET", "/user/me")).body.hasPassword, true)
    await until("hasPassword elsewhere", async () => (await elsewhere(ada).call("GET", "/user/me")).body.hasPassword === true)
    assert.strictEqual((await passwordLogin(ada.mobile, good)).status, 200)
  })

  it("needs a login of the last ten minutes", async () => {
    const ada = await people.enter()
    await ageSessions(database, ada.userId, "9 minutes 30 seconds")
    assertProblem(await change(ada, { newPassword: "short" }), 422, "weak_password")
    await ageSessions(database, ada.userId, "40 seconds")
    for (const person of [ada, elsewhere(ada)]) {
      await until("the age of the session is known", async () => (await change(person, { newPassword: "short" })).status === 403)
      assertProblem(await change(person, { newPassword: good }), 403, "reauthentication_required")
    }
    assert.strictEqual((await ada.call("GET", "/user/me")).body.hasPassword, false)
    const again = await people.enter(ada.mobile)
    assert.strictEqual((await change(again, { newPassword: good })).status, 204)
  })

  it("can later be changed without a recent login, because the current password is proof", async () => {
    const ada = await someone()
    await ageSessions(database, ada.userId, "1 day")
    assert.strictEqual((await change(ada, { currentPassword: good, newPassword: better })).status, 204)
  })
})

describe("a new password", () => {
  it("replaces the current one", async () => {
    const ada = await someone()
    assert.strictEqual((await change(ada, { currentPassword: good, newPassword: better })).status, 204)
    assertProblem(await passwordLogin(ada.mobile, good), 401, "credentials_invalid")
    assert.strictEqual((await passwordLogin(ada.mobile, better)).status, 200)
  })

  it("is refused without the current one, or with a wrong one, in every process", async () => {
    const ada = await someone()
    await until("hasPassword elsewhere", async () => (await elsewhere(ada).call("GET", "/user/me")).body.hasPassword === true)
    for (const person of [ada, elsewhere(ada)]) {
      await people.forget()
      assertProblem(await change(person, { newPassword: better }), 400, "current_password_invalid")
      assertProblem(
        await change(person, { currentPassword: "wrong horse", newPassword: better }),
        400,
        "current_password_invalid"
      )
      assertProblem(
        await change(person, { currentPassword: good.toUpperCase(), newPassword: better }),
        400,
        "current_password_invalid"
      )
      assertProblem(await change(person, { currentPassword: `${good} `, newPassword: better }), 400, "current_password_invalid")
    }
    assert.strictEqual((await passwordLogin(ada.mobile, good)).status, 200)
  })

  it("is refused after five wrong current passwords, even with the right one", async () => {
    const ada = await someone()
    await people.forget()
    const wrong = await Promise.all(times(5, (n) => change(ada, { currentPassword: `wrong horse ${n}`, newPassword: better })))
    for (const reply of wrong) assertProblem(reply, 400, "current_password_invalid")
    assertProblem(await change(ada, { currentPassword: good, newPassword: better }), 429, "too_many_attempts")
    assertProblem(await change(elsewhere(ada), { currentPassword: good, newPassword: better }), 429, "too_many_attempts")
    await people.forget()
    await sleep(1_050)
    assert.strictEqual((await change(ada, { currentPassword: good, newPassword: better })).status, 204)
  })

  it("refuses the sixth wrong current password of a user for a while, at every address and session", async () => {
    const ada = await someone()
    const second = await people.enter(ada.mobile)
    await people.forget()
    const replies = []
    for (const n of times(8, (index) => index)) {
      const { token } = n % 2 === 0 ? ada : second
      const headers = { "x-forwarded-for": `198.51.100.${n}` }
      const body = { currentPassword: `wrong horse ${n}`, newPassword: better }
      replies.push(
        await request(n % 2 === 0 ? backend.url : other.url, "POST", "/auth/change-password", { body, headers, token })
      )
    }
    assert.deepStrictEqual(
      replies.map(({ status }) => status),
      [400, 400, 400, 400, 400, 429, 429, 429]
    )
    for (const reply of replies.slice(5)) assertProblem(reply, 429, "too_many_attempts")
  })

  it("is set by one of several parallel changes with the same current password", async () => {
    const ada = await someone()
    const tries = times(4, (n) => `${better} ${n}`)
    const bases = [ada, elsewhere(ada)]
    const replies = await Promise.all(
      tries.map((newPassword, n) => change(bases[n % 2] ?? ada, { currentPassword: good, newPassword }))
    )
    assert.deepStrictEqual(replies.map(({ status }) => status).sort(), [204, 400, 400, 400])
    for (const reply of replies.filter(({ status }) => status === 400)) assertProblem(reply, 400, "current_password_invalid")
    const won = tries[replies.findIndex(({ status }) => status === 204)] ?? ""
    assert.strictEqual((await passwordLogin(ada.mobile, won)).status, 200)
  })

  it("is set by one of several parallel first passwords", async () => {
    const ada = await people.enter()
    const replies = await Promise.all(times(4, (n) => change(ada, { newPassword: `${better} ${n}` })))
    assert.deepStrictEqual(replies.map(({ status }) => status).sort(), [204, 400, 400, 400])
  })

  it("counts as a guess when it equals the old one, in a session and in a recovery session", async () => {
    const ada = await someone()
    await people.forget()
    const same = { currentPassword: good, newPassword: good }
    for (const _ of times(5, (n) => n)) assertProblem(await change(ada, same), 422, "same_password")
    assertProblem(await change(ada, same), 429, "too_many_attempts")
    const recovered = await people.enter(ada.mobile, "reset_password")
    await people.forget()
    await sleep(1_050)
    for (const _ of times(5, (n) => n)) assertProblem(await change(recovered, { newPassword: good }), 422, "same_password")
    assertProblem(await change(recovered, { newPassword: good }), 429, "too_many_attempts")
  })

  it("is refused when it is or contains the user's number, name or e-mail, wherever it is set", async () => {
    const mobile = freshMobile()
    const own = { name: "Augusta Ada", email: "countess@example.com" }
    const national = mobile.slice(-10)
    const weak = [
      mobile,
      `my number: ${national}`,
      `00${mobile.slice(1)}`,
      `${national.slice(0, 5)} ${national.slice(5)}`,
      "augusta-ada!",
      "AUGUSTA 1815",
      "ada12345",
      "Countess@Example.com",
      "countess99"
    ]
    for (const password of weak) {
      assertProblem(await people.post("/auth/signup", { mobile, ...own, password }), 422, "weak_password")
    }
    const ada = await people.enter(mobile)
    assert.strictEqual((await ada.call("PATCH", "/user/me", own)).status, 200)
    for (const newPassword of weak) assertProblem(await change(ada, { newPassword }), 422, "weak_password")
    const code = await people.code(mobile, "reset_password")
    for (const newPassword of weak) {
      assertProblem(await people.post("/auth/reset-password", { mobile, ...code, newPassword }), 422, "weak_password")
    }
    assert.strictEqual(
      (await people.post("/auth/reset-password", { mobile, ...code, newPassword: "canada is cold" })).status,
      204
    )
    const again = await people.enter(mobile)
    for (const newPassword of weak) {
      assertProblem(await change(again, { currentPassword: "canada is cold", newPassword }), 422, "weak_password")
    }
  })

  it("reveals only to a client with the code that it contains the user's name", async () => {
    const ada = await people.enter()
    await ada.call("PATCH", "/user/me", { name: "Augusta" })
    const { challengeId, otp } = await people.code(ada.mobile, "reset_password")
    const wrong = { challengeId, otp: String((Number(otp) + 1) % 1_000_000).padStart(6, "0") }
    const guess = { mobile: ada.mobile, ...wrong, newPassword: "augusta of 1815" }
    for (const _ of times(5, (n) => n)) assertProblem(await people.post("/auth/reset-password", guess), 400, "otp_invalid")
    assertProblem(await people.post("/auth/reset-password", guess), 429, "otp_attempts_exceeded")
  })

  it("must differ from the old one", async () => {
    const ada = await someone()
    assertProblem(await change(ada, { currentPassword: good, newPassword: good }), 422, "same_password")
    const recovered = await people.enter(ada.mobile, "reset_password")
    assertProblem(await change(recovered, { newPassword: good }), 422, "same_password")
    assert.strictEqual(await statusOf(ada), 200)
  })

  it.each([
    ["seven characters", "1a2b3c4"],
    ["seven characters of two units each", "😀".repeat(7)],
    ["129 characters", "a1".repeat(64) + "b"],
    ["a common word", "password"],
    ["a common word in capitals", "PASSWORD"],
    ["a common word in mixed case", "QwErTyUi"],
    ["a common row of digits", "12345678"]
  ])("is too weak: %s", async (_, newPassword) => {
    const ada = await people.enter()
    assertProblem(await change(ada, { newPassword }), 422, "weak_password")
    assertProblem(await people.post("/auth/signup", { mobile: freshMobile(), password: newPassword }), 422, "weak_password")
    assertProblem(
      await people.post("/auth/reset-password", { mobile: ada.mobile, otp: "000000", newPassword }),
      422,
      "weak_password"
    )
    assert.strictEqual((await ada.call("GET", "/user/me")).body.hasPassword, false)
  })

  it.each([
    ["eight characters", "1q9zk3xw"],
    ["eight characters of two units each", "😀".repeat(8)],
    ["128 characters", "a1".repeat(64)],
    ["blanks alone", " ".repeat(9)],
    ["many scripts", "пароль 密码 🔑 סיסמה"]
  ])("is accepted otherwise: %s", async (_, newPassword) => {
    const ada = await people.enter()
    assert.strictEqual((await change(ada, { newPassword })).status, 204)
    assert.strictEqual((await passwordLogin(ada.mobile, newPassword)).status, 200)
    assertProblem(await passwordLogin(ada.mobile, `${newPassword}x`), 401, "credentials_invalid")
  })

  it.each([
    ["newPassword", ""],
    ["newPassword", "with\u0000NUL here"],
    ["newPassword", "half \ud800 a character"],
    ["newPassword", 12345678],
    ["newPassword", null],
    ["newPassword", ["correct horse"]],
    ["currentPassword", 7],
    ["newPassword", "x".repeat(1_001)]
  ])("is refused unread when %s is %j", async (field, value) => {
    const reply = await (await people.enter()).call("POST", "/auth/change-password", { newPassword: good, [field]: value })
    assertProblem(reply, 400, "validation_failed")
    assert.deepStrictEqual(
      reply.body.errors.map(({ path }: { path: string }) => path),
      [`/${field}`]
    )
  })

  it("ends every other session at once, at every process, and keeps the current one", async () => {
    const own = await someone()
    const others = [await people.enter(own.mobile), await people.enter(own.mobile)]
    for (const person of [own, ...others]) {
      assert.deepStrictEqual([await statusOf(person), await statusOf(elsewhere(person))], [200, 200])
    }
    assert.strictEqual((await change(own, { currentPassword: good, newPassword: better })).status, 204)
    for (const person of others) {
      assertProblem(await person.call("GET", "/user/me"), 401, "session_revoked")
      await until("the session has ended elsewhere", async () => (await statusOf(elsewhere(person))) === 401)
      assertProblem(await people.post("/auth/refresh", { refreshToken: person.refreshToken }), 401, "refresh_invalid")
    }
    assert.deepStrictEqual([await statusOf(own), await statusOf(elsewhere(own))], [200, 200])
    assert.strictEqual((await people.post("/auth/refresh", { refreshToken: own.refreshToken })).status, 200)
  })

  it("is stored only as an argon2id hash", async () => {
    const ada = await someone()
    const [row] = await database.query<{ row: string; hash: string }>(
      "select u::text as row, password_hash as hash from users u where id = $1",
      [ada.userId]
    )
    assert.match(row?.hash ?? "", /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    assert.notInclude(row?.row ?? good, good)
    for (const path of ["/user/me", "/user/me/export", "/auth/sessions"]) {
      const { text } = await ada.call("GET", path)
      assert.notMatch(text, /argon2|passwordHash|password_hash/i)
    }
  })
})

describe("a forgotten password", () => {
  const reset = (body: { mobile: string; otp: string; challengeId?: string; newPassword: string }) =>
    people.post("/auth/reset-password", body)

  it("is replaced with a code; every session ends at every process, and the history records it", async () => {
    const ada = await someone()
    const second = await people.enter(ada.mobile)
    for (const person of [ada, second]) assert.strictEqual(await statusOf(elsewhere(person)), 200)
    const done = await reset({ mobile: ada.mobile, ...(await people.code(ada.mobile, "reset_password")), newPassword: better })
    assert.strictEqual(`${done.status}${done.text}`, "204")
    for (const person of [ada, second]) {
      assertProblem(await person.call("GET", "/user/me"), 401, "session_revoked")
      await until("the session has ended elsewhere", async () => (await statusOf(elsewhere(person))) === 401)
      assertProblem(await people.post("/auth/refresh", { refreshToken: person.refreshToken }), 401, "refresh_invalid")
    }
    assertProblem(await passwordLogin(ada.mobile, good), 401, "credentials_invalid")
    assert.strictEqual((await passwordLogin(ada.mobile, better)).status, 200)
    const events = await database.query<{ kind: string }>("select kind from auth_events where user_id = $1 order by id", [
      ada.userId
    ])
    assert.deepStrictEqual(
      events.map(({ kind }) => kind),
      ["login", "password_changed", "login", "password_reset", "password_login"]
    )
  })

  it("is also replaced without a challenge id", async () => {
    const ada = await someone()
    const { otp } = await people.code(ada.mobile, "reset_password")
    assert.strictEqual((await reset({ mobile: ada.mobile, otp, newPassword: better })).status, 204)
  })

  it("keeps the code when the new one is weak", async () => {
    const ada = await someone()
    const code = await people.code(ada.mobile, "reset_password")
    for (const newPassword of times(8, (n) => `short${n}`))
      assertProblem(await reset({ mobile: ada.mobile, ...code, newPassword }), 422, "weak_password")
    assert.strictEqual(await statusOf(ada), 200)
    assert.strictEqual((await reset({ mobile: ada.mobile, ...code, newPassword: better })).status, 204)
  })

  it("needs a code that is right, unused, not expired and made for a reset; all refusals are the same", async () => {
    const ada = await someone()
    const used = await people.code(ada.mobile, "reset_password")
    assert.strictEqual((await reset({ mobile: ada.mobile, ...used, newPassword: better })).status, 204)
    const old = await people.code(ada.mobile, "reset_password")
    await database.query("update otp_challenges set expires_at = clock_timestamp() - interval '1 second' where id = $1", [
      old.challengeId
    ])
    const login = await people.code(ada.mobile)
    const live = await people.code(ada.mobile, "reset_password")
    const wrong = { ...live, otp: String((Number(live.otp) + 1) % 1_000_000).padStart(6, "0") }
    const replies = []
    for (const code of [used, old, login, wrong])
      replies.push(await reset({ mobile: ada.mobile, ...code, newPassword: "yet another horse" }))
    for (const reply of replies) assertProblem(reply, 400, "otp_invalid")
    assert.strictEqual(new Set(replies.map(({ body }) => JSON.stringify({ ...body, requestId: "" }))).size, 1)
    assertProblem(await passwordLogin(ada.mobile, "yet another horse"), 401, "credentials_invalid")
    // And the other way round: a code for the password is none for a login.
    assertProblem(await people.post("/auth/verify-otp", { mobile: ada.mobile, ...live }), 400, "otp_invalid")
    assertProblem(
      await people.post("/auth/verify-otp", { mobile: ada.mobile, ...login, purpose: "reset_password" }),
      400,
      "otp_invalid"
    )
    assert.strictEqual((await people.post("/auth/verify-otp", { mobile: ada.mobile, ...login })).status, 200)
  })

  it("can be guessed five times in all, with and without the challenge id", async () => {
    const ada = await someone()
    const code = await people.code(ada.mobile, "reset_password")
    const wrong = (by: number) => ({
      mobile: ada.mobile,
      challengeId: code.challengeId,
      otp: String((Number(code.otp) + by) % 1_000_000).padStart(6, "0")
    })
    for (const by of [1, 2, 3]) assertProblem(await reset({ ...wrong(by), newPassword: better }), 400, "otp_invalid")
    for (const by of [4, 5])
      assertProblem(await people.post("/auth/verify-otp", { ...wrong(by), purpose: "reset_password" }), 400, "otp_invalid")
    assertProblem(await reset({ mobile: ada.mobile, ...code, newPassword: better }), 429, "otp_attempts_exceeded")
  })

  it("gets the same response for unknown and known numbers", async () => {
    const known = await someone()
    const shape = async (mobile: string) => {
      await people.forget()
      const sent = await people.post("/auth/forgot-password", { mobile })
      const refused = await reset({
        mobile,
        otp: "x00000".replace("x", sent.body.otp.startsWith("0") ? "1" : "0"),
        challengeId: sent.body.challengeId,
        newPassword: better
      })
      const done = await reset({ mobile, otp: sent.body.otp, challengeId: sent.body.challengeId, newPassword: better })
      return {
        sent: [
          sent.status,
          Object.entries(sent.body).map(([key, value]) => [key, typeof value === "number" ? value : typeof value])
        ],
        refused: { ...refused.body, requestId: "" },
        done: `${done.status} ${done.text}`,
        headers: [sent, refused, done].map(({ headers }) => [...headers.keys()].sort())
      }
    }
    const [one, two] = [await shape(known.mobile), await shape(freshMobile())]
    assert.deepStrictEqual(one, two)
    assert.strictEqual(one.done, "204 ")
  })

  it("registers an unregistered number with the password", async () => {
    const mobile = freshMobile()
    assert.strictEqual(
      (await reset({ mobile, ...(await people.code(mobile, "reset_password")), newPassword: better })).status,
      204
    )
    assert.strictEqual((await passwordLogin(mobile, better)).body.user.status, "active")
  })
})

describe("a recovery session", () => {
  it("can set a password without the current one, which ends it and all other sessions", async () => {
    const ada = await someone()
    const recovery = await people.enter(ada.mobile, "reset_password")
    assert.strictEqual((await change(recovery, { newPassword: better })).status, 204)
    assert.strictEqual((await passwordLogin(ada.mobile, better)).status, 200)
    assertProblem(await change(recovery, { newPassword: good }), 401, "session_revoked")
    assertProblem(await ada.call("GET", "/user/me"), 401, "session_revoked")
  })

  it("is refused by all other routes", async () => {
    const ada = await someone()
    const recovery = await people.enter(ada.mobile, "reset_password")
    const id = "01980000-0000-7000-8000-000000000000"
    const routes = [
      ["GET", "/user/me"],
      ["HEAD", "/user/me"],
      ["PATCH", "/user/me"],
      ["DELETE", "/user/me"],
      ["GET", "/user/me/export"],
      ["GET", "/user/usage"],
      ["GET", "/auth/sessions"],
      ["DELETE", `/auth/sessions/${ada.sid}`],
      ["DELETE", `/auth/sessions/${recovery.sid}`],
      ["POST", "/auth/logout"],
      ["POST", "/chatroom"],
      ["GET", "/chatroom"],
      ["GET", `/chatroom/${id}`],
      ["POST", `/chatroom/${id}/message`],
      ["GET", "/subscription/status"],
      ["POST", "/subscribe/pro"]
    ] as const
    for (const [method, path] of routes) {
      for (const person of [recovery, elsewhere(recovery)]) {
        const reply = await person.call(method, path, method === "GET" || method === "HEAD" ? undefined : {})
        assert.strictEqual(`${method} ${path} ${reply.status}`, `${method} ${path} 403`)
        if (method !== "HEAD") assertProblem(reply, 403, "reauthentication_required")
      }
    }
    assert.strictEqual(await statusOf(ada), 200)
  })

  it("lasts ten minutes and cannot be refreshed", async () => {
    const ada = await someone()
    const recovery = await people.enter(ada.mobile, "reset_password")
    const [row] = await database.query<{ seconds: number }>(
      "select extract(epoch from expires_at - created_at)::float8 as seconds from sessions where id = $1",
      [recovery.sid]
    )
    assert.strictEqual(Math.round(row?.seconds ?? 0), 600)
    assertProblem(await people.post("/auth/refresh", { refreshToken: recovery.refreshToken }), 401, "refresh_invalid")
    await database.query("update sessions set expires_at = now() where id = $1", [recovery.sid])
    await database.query("select pg_notify('changed', 'sessions:' || $1)", [ada.userId])
    await until("the end of the session is known", async () => (await change(recovery, { newPassword: "short" })).status === 401)
    assertProblem(await change(recovery, { newPassword: better }), 401, "session_revoked")
  })

  it("says how long its token is valid", async () => {
    const mobile = freshMobile()
    const login = await people.post("/auth/verify-otp", {
      mobile,
      purpose: "reset_password",
      ...(await people.code(mobile, "reset_password"))
    })
    assert.isAtMost(login.body.expiresIn, 600)
  })
})

describe("a login with a password", () => {
  it("is 404 when it is switched off", async () => {
    const off = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    try {
      const ada = await someone()
      for (const password of [good, "wrong horse"]) {
        assertProblem(await request(off.url, "POST", "/auth/login", { body: { mobile: ada.mobile, password } }), 404, "not_found")
      }
    } finally {
      await off.stop()
    }
  })

  it("starts a session like that of a code", async () => {
    const ada = await someone()
    const reply = await passwordLogin(ada.mobile, good)
    const { refreshToken, token, user, ...rest } = reply.body
    assert.deepStrictEqual(rest, { tokenType: "Bearer", expiresIn: 3600, isNewUser: false })
    assert.strictEqual(user.id, ada.userId)
    assert.strictEqual(await statusOf(personAt(backend.url, { ...ada, token })), 200)
    assert.strictEqual((await people.post("/auth/refresh", { refreshToken })).status, 200)
  })

  it("gets the same refusal for a wrong password and for a number that is unknown, pending or without a password", async () => {
    const [withPassword, without, pending] = [await someone(), await people.enter(), freshMobile()]
    assert.strictEqual((await people.post("/auth/signup", { mobile: pending, password: good })).status, 201)
    const replies = [
      await passwordLogin(withPassword.mobile, "wrong horse"),
      await passwordLogin(freshMobile(), good),
      await passwordLogin(pending, good),
      await passwordLogin(without.mobile, good)
    ]
    for (const reply of replies) assertProblem(reply, 401, "credentials_invalid")
    assert.strictEqual(new Set(replies.map(({ body }) => JSON.stringify({ ...body, requestId: "" }))).size, 1)
  })

  it("is refused after ten wrong passwords, for known and unknown numbers, at any process", async () => {
    const ada = await someone()
    for (const mobile of [ada.mobile, freshMobile()]) {
      await people.forget()
      for (const password of times(10, (n) => `wrong horse ${n}`))
        assertProblem(await passwordLogin(mobile, password), 401, "credentials_invalid")
      const refused = await passwordLogin(mobile, good)
      assertProblem(refused, 429, "too_many_attempts")
      assert.isAtMost(Number(refused.headers.get("retry-after")), 90)
      assertProblem(
        await request(other.url, "POST", "/auth/login", { body: { mobile, password: good } }),
        429,
        "too_many_attempts"
      )
    }
    // Another number is not concerned.
    assert.strictEqual((await passwordLogin((await someone()).mobile, good)).status, 200)
  })

  it("is refused after ten wrong passwords of parallel requests", async () => {
    const ada = await someone()
    await people.forget()
    const bases = [backend.url, other.url]
    const replies = await Promise.all(
      times(40, (n) =>
        request(bases[n % 2] ?? "", "POST", "/auth/login", { body: { mobile: ada.mobile, password: `wrong horse ${n}` } })
      )
    )
    const judged = replies.filter(({ status }) => status === 401)
    assert.isAtMost(judged.length, 10)
    assert.isAbove(judged.length, 0)
    for (const reply of replies) assert.include([401, 429, 503], reply.status)
  })

  it("counts no successful login", async () => {
    const ada = await someone()
    await people.forget()
    for (const reply of await Promise.all(times(8, () => passwordLogin(ada.mobile, good))))
      assert.strictEqual(reply.status, 200, reply.text)
    for (const base of times(14, (n) => (n % 2 === 0 ? backend.url : other.url))) {
      assert.strictEqual(
        (await request(base, "POST", "/auth/login", { body: { mobile: ada.mobile, password: good } })).status,
        200
      )
    }
  })

  it("takes as long for an unknown number as for a known one", async () => {
    const ada = await someone()
    const took: Record<"known" | "unknown", Array<number>> = { known: [], unknown: [] }
    const measure = async (kind: keyof typeof took, mobile: string) => {
      const began = performance.now()
      assertProblem(await passwordLogin(mobile, "wrong horse"), 401, "credentials_invalid")
      took[kind].push(performance.now() - began)
    }
    for (const n of times(40, (index) => index)) {
      if (n % 8 === 0) await people.forget()
      await measure("known", ada.mobile)
      await measure("unknown", freshMobile())
    }
    const median = (values: Array<number>) => values.toSorted((a, b) => a - b)[20] ?? 0
    const ratio = median(took.unknown) / median(took.known)
    assert.isAbove(ratio, 0.6, JSON.stringify(took))
    assert.isBelow(ratio, 1.67, JSON.stringify(took))
  })
})

describe("a password chosen at the sign-up", () => {
  const signUp = (mobile: string, password: string, headers: Record<string, string> = {}) =>
    people.post("/auth/signup", { mobile, password }, headers)
  const phone = { "user-agent": "Ada's phone" }

  /** Proves the number with a code, and with the secret of a signup. */
  const prove = async (mobile: string, signupToken: string | undefined, headers: Record<string, string> = phone) => {
    const { body } = await people.post("/auth/send-otp", { mobile }, headers)
    const proof = { mobile, otp: body.otp, challengeId: body.challengeId }
    const reply = await people.post(
      "/auth/verify-otp",
      { ...proof, ...(signupToken === undefined ? {} : { signupToken }) },
      headers
    )
    assert.strictEqual(reply.status, 200, reply.text)
    return reply.body
  }

  it("is adopted with the signup token, from any client", async () => {
    const mobile = freshMobile()
    const signed = await people.post("/auth/signup", { mobile, password: good, name: "Ada", email: "ada@example.com" }, phone)
    assert.strictEqual(signed.status, 201)
    assert.notInclude(signed.text, good)
    const { user } = await prove(mobile, signed.body.signupToken, { "user-agent": "Ada's laptop" })
    assert.deepInclude(user, { name: "Ada", email: "ada@example.com" })
    assert.strictEqual((await passwordLogin(mobile, good)).status, 200)
  })

  it("is not adopted without the signup token, even if the same client proves the number", async () => {
    const mobile = freshMobile()
    await signUp(mobile, good, phone)
    await prove(mobile, undefined)
    assertProblem(await passwordLogin(mobile, good), 401, "credentials_invalid")
  })

  it("remains the owner's when another client signs the number up before and after", async () => {
    const mobile = freshMobile()
    const evil = { mobile, password: better, name: "EVIL", email: "evil@example.com" }
    await people.post("/auth/signup", evil, { "user-agent": "Mallory's laptop" })
    const signed = await people.post("/auth/signup", { mobile, password: good, name: "Ada" }, phone)
    await people.post("/auth/signup", evil, { "user-agent": "Mallory's laptop" })
    const { user } = await prove(mobile, signed.body.signupToken)
    assert.deepInclude(user, { name: "Ada", email: null })
    assert.strictEqual((await passwordLogin(mobile, good)).status, 200)
    assertProblem(await passwordLogin(mobile, better), 401, "credentials_invalid")
  })

  it("shows nothing of another client's signup to an owner without a signup", async () => {
    const mobile = freshMobile()
    await people.post("/auth/signup", { mobile, name: "EVIL", email: "evil@example.com" }, { "user-agent": "Mallory's laptop" })
    assert.deepInclude((await prove(mobile, undefined)).user, { name: null, email: null })
  })

  it("is not adopted with a token that is forged, of another number, or of an active user's number", async () => {
    const [mobile, other] = [freshMobile(), freshMobile()]
    const { signupToken } = (await signUp(other, good, phone)).body
    await signUp(mobile, good, phone)
    const [body = "", mac = ""] = String(signupToken).split(".")
    const forged = Buffer.from(Buffer.from(body, "base64url").toString().replace(other, mobile)).toString("base64url")
    for (const token of [signupToken, `${forged}.${mac}`, "junk", "."]) await prove(mobile, token)
    assertProblem(await passwordLogin(mobile, good), 401, "credentials_invalid")
    const ada = await someone()
    await prove(ada.mobile, signupToken)
    assert.strictEqual((await passwordLogin(ada.mobile, good)).status, 200)
  })

  it("is not adopted when another client proves the number, nor later", async () => {
    const mobile = freshMobile()
    await signUp(mobile, good, { "user-agent": "Mallory's laptop" })
    const ada = await people.enter(mobile, "login", phone)
    assert.strictEqual((await ada.call("GET", "/user/me")).body.hasPassword, false)
    assertProblem(await passwordLogin(mobile, good), 401, "credentials_invalid")
    await people.enter(mobile, "login", { "user-agent": "Mallory's laptop" })
    assertProblem(await passwordLogin(mobile, good), 401, "credentials_invalid")
  })

  it("does not change an active user's password", async () => {
    const ada = await someone()
    assertProblem(await signUp(ada.mobile, better), 409, "phone_taken")
    await people.enter(ada.mobile)
    assertProblem(await passwordLogin(ada.mobile, better), 401, "credentials_invalid")
    assert.strictEqual((await passwordLogin(ada.mobile, good)).status, 200)
  })
})

describe("many passwords at once", () => {
  it("of five accounts leave room for the login of a sixth", async () => {
    const [victim, ...attackers] = await Promise.all(times(6, () => someone()))
    assert.isDefined(victim)
    await people.forget()
    let isOver = false
    const flood = attackers.map(async ({ mobile }) => {
      while (!isOver) await Promise.all(times(10, () => passwordLogin(mobile, good)))
    })
    const logins = []
    for (const _ of times(6, (n) => n)) logins.push(await passwordLogin(victim?.mobile ?? "", good))
    isOver = true
    await Promise.all(flood)
    assert.deepStrictEqual([...new Set(logins.map(({ status }) => status))], [200])
  })

  it("are hashed two at a time; 34 are accepted, and the others are refused with Retry-After", async () => {
    await until("quiet", async () => argon2.running === 0)
    argon2.most = 0
    const replies = await Promise.all(times(60, () => people.post("/auth/signup", { mobile: freshMobile(), password: good })))
    const busy = replies.filter(({ status }) => status === 503)
    for (const reply of busy) assertProblem(reply, 503, "overloaded")
    const done = replies.filter(({ status }) => status === 201)
    assert.strictEqual(done.length + busy.length, 60)
    assert.isAtLeast(done.length, 34)
    assert.isAbove(busy.length, 0)
    assert.strictEqual(argon2.most, 2)
    assert.strictEqual((await people.post("/auth/signup", { mobile: freshMobile(), password: good })).status, 201)
  })

  it("are hashed two at a time even if their clients disconnect", async () => {
    await until("quiet", async () => argon2.running === 0)
    argon2.most = 0
    argon2.lingerMillis = 150
    for (const round of times(5, (n) => n)) {
      const hangUp = new AbortController()
      const calls = argon2.calls
      const sent = Promise.allSettled(
        times(2, () =>
          fetch(`${backend.url}/auth/login`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ mobile: freshMobile(), password: `round ${round}` }),
            signal: hangUp.signal
          })
        )
      )
      const deadline = Date.now() + 300
      while (argon2.calls < calls + 2 && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve))
      hangUp.abort()
      await sent
    }
    argon2.lingerMillis = 0
    await sleep(50)
    assert.isAtMost(argon2.most, 2)
    await until("quiet", async () => argon2.running === 0)
    assert.strictEqual((await people.post("/auth/signup", { mobile: freshMobile(), password: good })).status, 201)
  })
})

describe("a secret", () => {
  it("is in no log and no response, of successes and failures", async () => {
    const backend = await startProcess({ DATABASE_URL: database.url, ROLE: "api", PASSWORD_LOGIN: "true", LOG_LEVEL: "trace" })
    try {
      await backend.started()
      const at = peopleAt(backend.url, database)
      const [mobile, secret, next] = [freshMobile(), "Tr0ub4dor-and-3-horses", "Tr0ub4dor-and-4-horses"]
      const { challengeId, otp } = await at.code(mobile)
      const login = await at.post("/auth/verify-otp", { mobile, otp, challengeId })
      const ada = loggedIn(backend.url, login)
      const forgot = await at.code(mobile, "reset_password")
      const replies = [
        login,
        await ada.call("POST", "/auth/change-password", { newPassword: secret }),
        await ada.call("POST", "/auth/change-password", { currentPassword: next, newPassword: secret }),
        await ada.call("POST", "/auth/change-password", { currentPassword: secret, newPassword: secret }),
        await ada.call("POST", "/auth/change-password", { currentPassword: { secret }, newPassword: [secret] }),
        await at.post("/auth/login", { mobile, password: secret }),
        await at.post("/auth/login", { mobile, password: next }),
        await at.post("/auth/login", { mobile, password: `${secret}\u0000` }),
        await at.post("/auth/login", { mobile: secret, password: secret }),
        await at.post("/auth/signup", { mobile, password: secret }),
        await at.post("/auth/verify-otp", { mobile, otp, challengeId }),
        await at.post("/auth/verify-otp", { mobile, otp: `${otp}0`, challengeId }),
        await at.post("/auth/reset-password", { mobile, ...forgot, newPassword: next }),
        await at.post("/auth/refresh", { refreshToken: ada.refreshToken }),
        await request(backend.url, "POST", "/auth/login", { body: `{"mobile":"${mobile}","password":"${secret}"` })
      ]
      assert.deepStrictEqual(
        replies.map(({ status }) => status),
        [200, 204, 400, 422, 400, 200, 401, 400, 400, 409, 400, 400, 204, 401, 400]
      )
      const hidden = [secret, next, otp, forgot.otp]
      for (const reply of replies)
        for (const word of hidden)
          assert.notInclude(reply.text.replaceAll(/"(mobile|id|createdAt|token|refreshToken|requestId)":"[^"]*"/g, ""), word)
      const log = backend.output().replaceAll(mobile, "")
      for (const word of [secret, next, ada.token, ada.refreshToken]) assert.notInclude(log, word)
      for (const word of [otp, forgot.otp]) assert.notMatch(log, new RegExp(`(^|[^\\dA-Fa-f])${word}([^\\dA-Fa-f]|$)`))
    } finally {
      await backend.kill("SIGKILL")
    }
  })
})
