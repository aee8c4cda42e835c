import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
/** Another process, which does not remember what the first one denied. */
let other: typeof backend

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
  other = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
})
afterAll(async () => {
  await Promise.all([backend.stop(), other.stop()])
  await database.drop()
})

const post = (path: string, body: unknown) => request(backend.url, "POST", path, { body })
const signUp = (body: unknown) => post("/auth/signup", body)
const send = (mobile: string) => post("/auth/send-otp", { mobile })
const verify = (body: unknown) => post("/auth/verify-otp", body)

/** A challenge for this number, at once: deletes what throttles its codes first. */
const challenge = async (mobile: string): Promise<{ challengeId: string; otp: string }> => {
  await database.query(
    "delete from throttles where key like 'otp-cooldown:%' and key like $1 or key like 'otp-send:%' and key like $1",
    [`%${mobile}`]
  )
  const sent = await send(mobile)
  assert.strictEqual(sent.status, 200, sent.text)
  return sent.body
}

/** Another well-formed code. */
const wrong = (otp: string, by = 1) => String((Number(otp) + by) % 1_000_000).padStart(6, "0")

const assertProblem = (reply: Reply, status: number, code: string) => {
  assert.strictEqual(`${reply.status} ${reply.body?.code}`, `${status} ${code}`, reply.text)
  assert.strictEqual(reply.headers.get("content-type"), "application/problem+json")
  if (status === 429) assert.match(reply.headers.get("retry-after") ?? "", /^[1-9]\d*$/)
}

describe("POST /auth/signup", () => {
  it("registers a number as pending, with name and e-mail", async () => {
    const mobile = freshMobile()
    const { body, headers, status } = await signUp({ mobile, name: "Ada", email: "ada@example.com", role: "admin" })
    assert.strictEqual(status, 201)
    assert.strictEqual(headers.get("cache-control"), "private, no-store")
    const { createdAt, id, ...rest } = body.user
    assert.deepStrictEqual(rest, { mobile, name: "Ada", email: "ada@example.com", status: "pending" })
    assert.match(id, /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    assert.strictEqual(new Date(createdAt).toISOString(), createdAt)
  })

  it("takes new details while the number is pending, and keeps the user", async () => {
    const mobile = freshMobile()
    const first = await signUp({ mobile, name: "Ada", email: "ada@example.com" })
    const again = await signUp({ mobile, name: "Countess" })
    assert.strictEqual(again.status, 201)
    assert.deepStrictEqual(again.body.user, { ...first.body.user, name: "Countess" })
  })

  it("refuses a number whose user is active", async () => {
    const mobile = freshMobile()
    await signUp({ mobile, name: "Ada" })
    const { challengeId, otp } = await challenge(mobile)
    const login = await verify({ mobile, otp, challengeId })
    assert.strictEqual(login.body.user.name, "Ada")
    assert.strictEqual(login.body.user.status, "active")
    assertProblem(await signUp({ mobile, name: "Mallory" }), 409, "phone_taken")
    assert.deepStrictEqual(await database.query("select name from users where mobile = $1", [mobile]), [{ name: "Ada" }])
  })

  it("makes one user from parallel sign-ups", async () => {
    const mobile = freshMobile()
    const replies = await Promise.all(Array.from({ length: 20 }, () => signUp({ mobile })))
    assert.deepStrictEqual(new Set(replies.map((reply) => reply.status)), new Set([201]))
    assert.strictEqual(new Set(replies.map((reply) => reply.body.user.id)).size, 1)
  })

  it("recognises a number in every spelling", async () => {
    const mobile = freshMobile()
    const spelt = ` +91 (${mobile.slice(3, 8)})-${mobile.slice(8, 10)}.${mobile.slice(10)} `
    const first = await signUp({ mobile })
    const again = await signUp({ mobile: spelt })
    assert.strictEqual(again.body.user.id, first.body.user.id)
    assert.strictEqual(again.body.user.mobile, mobile)
  })

  it.each([
    "ada",
    "ada@",
    "@example.com",
    "a b@example.com",
    "ada@example",
    "a@b@example.com",
    "ada@exa\u0000mple.com",
    "ada\ud800@example.com",
    `${"a".repeat(250)}@b.co`
  ])("refuses %j as an e-mail address", async (email) => {
    const reply = await signUp({ mobile: freshMobile(), email })
    assertProblem(reply, 400, "validation_failed")
    assert.strictEqual(reply.body.errors[0].path, "/email")
  })
})

describe("POST /auth/send-otp and POST /auth/verify-otp", () => {
  it("send a code that starts a session", async () => {
    const mobile = freshMobile()
    const sent = await send(mobile)
    assert.strictEqual(sent.status, 200)
    assert.strictEqual(sent.headers.get("cache-control"), "private, no-store")
    assert.deepStrictEqual(Object.keys(sent.body).sort(), ["challengeId", "expiresIn", "otp", "resendAfter"])
    assert.strictEqual(sent.body.expiresIn, 300)
    assert.strictEqual(sent.body.resendAfter, 30)
    assert.match(sent.body.otp, /^\d{6}$/)

    const login = await verify({ mobile, otp: sent.body.otp, challengeId: sent.body.challengeId })
    assert.strictEqual(login.status, 200)
    const { token, refreshToken, user, ...rest } = login.body
    assert.deepStrictEqual(rest, { tokenType: "Bearer", expiresIn: 3600, isNewUser: true })
    assert.isString(refreshToken)
    assert.isAbove(refreshToken.length, 40)
    assert.strictEqual(user.mobile, mobile)
    assert.strictEqual(user.status, "active")

    const me = await request(backend.url, "GET", "/user/me", { token })
    assert.strictEqual(me.status, 200)
    assert.strictEqual(me.body.id, user.id)
    assert.deepInclude(me.body, { mobile, status: "active", tier: "basic", hasPassword: false, name: null, email: null })
    assert.deepInclude(me.body.quota, { limit: 5, used: 0, remaining: 5 })
  })

  it("report a user as new at the first login only", async () => {
    const mobile = freshMobile()
    const first = await challenge(mobile)
    const created = await verify({ mobile, ...first })
    const second = await challenge(mobile)
    const found = await verify({ mobile, ...second })
    assert.deepStrictEqual([created.body.isNewUser, found.body.isNewUser], [true, false])
    assert.strictEqual(found.body.user.id, created.body.user.id)
    assert.notStrictEqual(found.body.token, created.body.token)
  })

  it("report a user who signed up as new at the first login", async () => {
    const mobile = freshMobile()
    const signed = await signUp({ mobile })
    const login = await verify({ mobile, ...(await challenge(mobile)) })
    assert.strictEqual(login.body.isNewUser, true)
    assert.strictEqual(login.body.user.id, signed.body.user.id)
  })

  it("accept a code without a challenge id, and with its purpose", async () => {
    const mobile = freshMobile()
    const { otp } = await challenge(mobile)
    assert.strictEqual((await verify({ mobile, otp, purpose: "login" })).status, 200)
  })

  it("accept the challenge id in capitals", async () => {
    const mobile = freshMobile()
    const { challengeId, otp } = await challenge(mobile)
    assert.strictEqual((await verify({ mobile, otp, challengeId: challengeId.toUpperCase() })).status, 200)
  })

  it("answer known and unknown numbers alike", async () => {
    const [known, unknown] = [freshMobile(), freshMobile()]
    await verify({ mobile: known, ...(await challenge(known)) })
    const replies = [await send(known), await send(unknown)]
    const shape = (reply: Reply) => ({
      status: reply.status,
      headers: [...reply.headers.keys()].sort(),
      body: Object.entries(reply.body).map(([key, value]) => [key, typeof value === "number" ? value : typeof value])
    })
    assert.deepStrictEqual(replies.map(shape)[0], replies.map(shape)[1])
    const guesses = [await verify({ mobile: known, otp: "000000" }), await verify({ mobile: freshMobile(), otp: "000000" })]
    assert.deepStrictEqual(...(guesses.map(({ body, status }) => ({ ...body, requestId: "", status })) as [unknown, unknown]))
  })

  it("store nothing of the code itself", async () => {
    const mobile = freshMobile()
    const { otp } = await challenge(mobile)
    const rows = await database.query<{ row: string }>("select c::text as row from otp_challenges c where mobile = $1", [mobile])
    assert.strictEqual(rows.length, 1)
    // The number itself is there, and a code could be a part of it, or of an id or a time.
    const fields = await database.query<{ codeMac: string }>(
      `select code_mac as "codeMac" from otp_challenges where mobile = $1`,
      [mobile]
    )
    assert.notInclude(fields[0]?.codeMac ?? otp, otp)
    assert.notMatch(rows[0]?.row ?? otp, new RegExp(`(^|[^\\d])${otp}([^\\d]|$)`))
  })

  it("store a different MAC for each number and code", async () => {
    const seen = await database.query<{ macs: number; all: number }>(
      `select count(distinct code_mac)::int macs, count(*)::int "all" from otp_challenges`
    )
    assert.strictEqual(seen[0]?.macs, seen[0]?.all)
    assert.isAbove(seen[0]?.all ?? 0, 3)
  })
})

describe("an invalid code", () => {
  it("gets the same response, whatever is wrong with it", async () => {
    const mobile = freshMobile()
    const expired = await challenge(mobile)
    await database.query("update otp_challenges set expires_at = clock_timestamp() - interval '1 second' where id = $1", [
      expired.challengeId
    ])
    const first = await verify({ mobile, ...expired })
    const second = await verify({ mobile, otp: expired.otp })

    const used = await challenge(mobile)
    assert.strictEqual((await verify({ mobile, ...used })).status, 200)
    const replies = [
      first,
      second,
      await verify({ mobile, ...used }),
      await verify({ mobile, otp: used.otp }),
      await verify({ mobile, ...used, otp: wrong(used.otp) }),
      await verify({ mobile, otp: used.otp, challengeId: "01900000-0000-7000-8000-000000000000" }),
      // A challenge of another number.
      await verify({ mobile: freshMobile(), ...(await challenge(mobile)) })
    ]
    for (const reply of replies) assertProblem(reply, 400, "otp_invalid")
    assert.strictEqual(new Set(replies.map(({ body }) => JSON.stringify({ ...body, requestId: "" }))).size, 1)
  })

  it("is one that was superseded, unless its own challenge is named", async () => {
    const mobile = freshMobile()
    const older = await challenge(mobile)
    const newer = await challenge(mobile)
    assertProblem(await verify({ mobile, otp: older.otp }), 400, "otp_invalid")
    assert.strictEqual((await verify({ mobile, ...older })).status, 200)
    assert.strictEqual((await verify({ mobile, otp: newer.otp })).status, 200)
  })

  it("is one older than a code that was used", async () => {
    const mobile = freshMobile()
    const older = await challenge(mobile)
    const newer = await challenge(mobile)
    assert.strictEqual((await verify({ mobile, ...newer })).status, 200)
    assertProblem(await verify({ mobile, otp: older.otp }), 400, "otp_invalid")
    assertProblem(await verify({ mobile, ...older }), 400, "otp_invalid")
  })

  it.each([
    ["otp", "12345"],
    ["otp", "1234567"],
    ["otp", "12345a"],
    ["otp", "١٢٣٤٥٦"],
    ["otp", " 12345"],
    ["otp", 123456],
    ["otp", null],
    ["challengeId", "7"],
    ["purpose", "signup"],
    ["mobile", "12345"]
  ])("is 400 validation_failed when %s is %j", async (field, value) => {
    const reply = await verify({ mobile: freshMobile(), otp: "123456", [field]: value })
    assertProblem(reply, 400, "validation_failed")
    assert.deepStrictEqual(
      reply.body.errors.map((error: { path: string }) => error.path),
      [`/${field}`]
    )
  })
})

describe("parallel requests to several processes", () => {
  // Each has its own connections: a single process would send its statements one after the other.
  let backends: ReadonlyArray<typeof backend>
  const spread = (path: string, bodies: ReadonlyArray<unknown>) =>
    Promise.all(bodies.map((body, index) => request(backends[index % backends.length]?.url ?? "", "POST", path, { body })))

  /** Like `spread`, with every process held at a lock on this number's challenges until all of them wait there. */
  const collide = async (mobile: string, bodies: ReadonlyArray<unknown>) => {
    const gate = new pg.Client({ connectionString: database.url })
    await gate.connect()
    await gate.query("begin")
    await gate.query("select 1 from otp_challenges where mobile = $1 for update", [mobile])
    const replies = spread("/auth/verify-otp", bodies)
    const waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    const deadline = Date.now() + 5_000
    while ((await database.query(waiting)).length < backends.length && Date.now() < deadline) await sleep(10)
    assert.isAtLeast((await database.query(waiting)).length, backends.length)
    await gate.query("commit")
    await gate.end()
    return replies
  }

  beforeAll(async () => {
    const others = await Promise.all(times(7, () => startBackend({ DATABASE_URL: database.url, ROLE: "api" })))
    backends = [backend, ...others]
  })
  afterAll(() => Promise.all(backends.slice(1).map((other) => other.stop())))

  it("use a code exactly once", async () => {
    const mobile = freshMobile()
    const sent = await challenge(mobile)
    const replies = await collide(
      mobile,
      times(200, () => ({ mobile, ...sent }))
    )
    const won = replies.filter((reply) => reply.status === 200)
    assert.strictEqual(won.length, 1)
    for (const reply of replies) if (reply.status !== 200) assertProblem(reply, 400, "otp_invalid")
    const sessions = await database.query("select 1 from sessions s join users u on u.id = s.user_id where u.mobile = $1", [
      mobile
    ])
    assert.strictEqual(sessions.length, 1)
  })

  it("use a code exactly once without naming its challenge", async () => {
    const mobile = freshMobile()
    const { otp } = await challenge(mobile)
    const replies = await collide(
      mobile,
      times(100, () => ({ mobile, otp }))
    )
    assert.strictEqual(replies.filter((reply) => reply.status === 200).length, 1)
  })

  it("evaluate a code five times, and then refuse even the right one", async () => {
    const mobile = freshMobile()
    const sent = await challenge(mobile)
    const guesses = await collide(
      mobile,
      times(200, (by) => ({ mobile, ...sent, otp: wrong(sent.otp, by + 1) }))
    )
    assert.strictEqual(guesses.filter((reply) => reply.body.code === "otp_invalid").length, 5)
    for (const reply of guesses) if (reply.status !== 400) assertProblem(reply, 429, "otp_attempts_exceeded")
    const [row] = await database.query<{ tries_bound: number }>("select tries_bound from otp_challenges where id = $1", [
      sent.challengeId
    ])
    assert.strictEqual(row?.tries_bound, 5)

    const right = await verify({ mobile, ...sent })
    assertProblem(right, 429, "otp_attempts_exceeded")
    assert.isAtMost(Number(right.headers.get("retry-after")), 300)
    assert.strictEqual(right.body.retryAfter, Number(right.headers.get("retry-after")))
  })

  it("send one code in the cooldown", async () => {
    const mobile = freshMobile()
    const replies = await spread(
      "/auth/send-otp",
      times(50, () => ({ mobile }))
    )
    assert.strictEqual(replies.filter((reply) => reply.status === 200).length, 1)
    for (const reply of replies) if (reply.status !== 200) assertProblem(reply, 429, "otp_cooldown")
  })
})

describe("a stranger who knows only the number", () => {
  it("has five guesses together with the client that names the challenge when their addresses cannot be told apart", async () => {
    const mobile = freshMobile()
    const sent = await challenge(mobile)
    const guesses = await Promise.all(Array.from({ length: 30 }, (_, by) => verify({ mobile, otp: wrong(sent.otp, by + 1) })))
    assert.strictEqual(guesses.filter((reply) => reply.body.code === "otp_invalid").length, 5)
    assertProblem(await verify({ mobile, ...sent }), 429, "otp_attempts_exceeded")
  })

  it("is refused after five wrong codes, also for a newer code", async () => {
    const mobile = freshMobile()
    const sent = await challenge(mobile)
    for (let by = 1; by <= 5; by++) assertProblem(await verify({ mobile, otp: wrong(sent.otp, by) }), 400, "otp_invalid")
    const fresh = await challenge(mobile)
    const refused = await verify({ mobile, otp: fresh.otp })
    assertProblem(refused, 429, "otp_attempts_exceeded")
    assert.isAtMost(Number(refused.headers.get("retry-after")), 900)
    await database.query("update throttles set tat = tat - interval '15 minutes' where key = $1", [`otp-guess:${mobile}`])
    const later = await request(other.url, "POST", "/auth/verify-otp", { body: { mobile, otp: fresh.otp } })
    assert.strictEqual(later.status, 200, later.text)
  })

  it("does not replace a code by asking for another", async () => {
    const mobile = freshMobile()
    const mine = await challenge(mobile)
    await challenge(mobile)
    assert.strictEqual((await verify({ mobile, ...mine })).status, 200)
  })
})

/** A process remembers a denial that another process may end for a second. */
const denialForgotten = () => sleep(1_100)

describe("asking for another code", () => {
  it("is refused in the cooldown", async () => {
    const mobile = freshMobile()
    assert.strictEqual((await send(mobile)).status, 200)
    const refused = await send(mobile)
    assertProblem(refused, 429, "otp_cooldown")
    const wait = Number(refused.headers.get("retry-after"))
    assert.isAtLeast(wait, 28)
    assert.isAtMost(wait, 30)
    await database.query("update throttles set tat = tat - interval '30 seconds' where key = $1", [
      `otp-cooldown:login:${mobile}`
    ])
    await denialForgotten()
    assert.strictEqual((await send(mobile)).status, 200)
  })

  it("is allowed at once after a login", async () => {
    const mobile = freshMobile()
    const { body } = await send(mobile)
    assert.strictEqual((await verify({ mobile, otp: body.otp, challengeId: body.challengeId })).status, 200)
    assert.strictEqual((await send(mobile)).status, 200)
  })

  it("is limited to five in ten minutes", async () => {
    const mobile = freshMobile()
    const waitOut = () =>
      database.query("update throttles set tat = tat - interval '30 seconds' where key = $1", [`otp-cooldown:login:${mobile}`])
    for (let sent = 0; sent < 5; sent++) {
      assert.strictEqual((await send(mobile)).status, 200)
      await waitOut()
    }
    const refused = await send(mobile)
    assertProblem(refused, 429, "otp_send_limited")
    assert.isAtMost(Number(refused.headers.get("retry-after")), 600)
    assert.isAtLeast(Number(refused.headers.get("retry-after")), 60)
    await waitOut()
    await database.query("update throttles set tat = tat - interval '10 minutes' where key = $1", [`otp-send:10min:${mobile}`])
    // The first process remembers the denial, and does not query again.
    await denialForgotten()
    assertProblem(await send(mobile), 429, "otp_send_limited")
    assert.strictEqual((await request(other.url, "POST", "/auth/send-otp", { body: { mobile } })).status, 200)
  })

  it("is limited to twenty a day", async () => {
    const mobile = freshMobile()
    for (let sent = 0; sent < 20; sent++) {
      assert.strictEqual((await send(mobile)).status, 200)
      await database.query("delete from throttles where key = any ($1)", [
        [`otp-cooldown:login:${mobile}`, `otp-send:10min:${mobile}`]
      ])
    }
    assertProblem(await send(mobile), 429, "otp_send_limited")
  })

  it("uses up no allowance when it is refused", async () => {
    const mobile = freshMobile()
    const left = () =>
      database.query("select key, tat from throttles where key like $1 and tat > now() order by key", [`%${mobile}`])
    assert.strictEqual((await send(mobile)).status, 200)
    const before = await left()
    assert.lengthOf(before, 3)
    for (let tried = 0; tried < 10; tried++) assertProblem(await send(mobile), 429, "otp_cooldown")
    await denialForgotten()
    assertProblem(await send(mobile), 429, "otp_cooldown")
    assert.deepStrictEqual(await left(), before)
  })

  it("is counted for each number", async () => {
    const [one, other] = [freshMobile(), freshMobile()]
    await send(one)
    assert.strictEqual((await send(other)).status, 200)
  })
})

describe("another OTP_DELIVERY", () => {
  it.each(["log", "none"])("keeps the code out of the response: %s", async (OTP_DELIVERY) => {
    const quiet = await startBackend({ DATABASE_URL: database.url, ROLE: "api", OTP_DELIVERY })
    try {
      const sent = await request(quiet.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })
      assert.strictEqual(sent.status, 200)
      assert.deepStrictEqual(Object.keys(sent.body).sort(), ["challengeId", "expiresIn", "resendAfter"])
    } finally {
      await quiet.stop()
    }
  })
})
