import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { startGateway } from "./Gateway.ts"
import { times } from "../support/times.ts"
import { assertProblem } from "./People.ts"

let database: TestDatabase
let gateway: Awaited<ReturnType<typeof startGateway>>
let backend: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  gateway = await startGateway()
  backend = await startBackend({
    DATABASE_URL: database.url,
    ROLE: "api",
    TRUSTED_PROXIES: "127.0.0.1",
    OTP_DELIVERY: "webhook",
    OTP_WEBHOOK_URL: gateway.url,
    OTP_WEBHOOK_SECRET: Buffer.from("a key that only this test knows!").toString("base64")
  })
})
afterAll(async () => {
  await Promise.all([backend.stop(), gateway.stop()])
  await database.drop()
})

const [owner, stranger, accomplice] = ["198.51.100.1", "203.0.113.1", "192.0.2.1"]
/** An address of a network of its own. */
const otherAddress = (n: number) => `100.${1 + n}.0.1`

const post = (path: string, body: unknown, from: string, base = backend.url) =>
  request(base, "POST", path, { body, headers: { "x-forwarded-for": from } })
const send = (mobile: string, from: string, base = backend.url) => post("/auth/send-otp", { mobile }, from, base)
const verify = (body: unknown, from: string, base = backend.url) => post("/auth/verify-otp", body, from, base)

const messages = (mobile: string) => gateway.deliveries.filter(({ code }) => code.mobile === mobile)
/** The code of the newest message to this number. */
const received = (mobile: string) => messages(mobile).at(-1)?.code.otp ?? assert.fail("no message")
const wrong = (otp: string, by = 1) => String((Number(otp) + by) % 1_000_000).padStart(6, "0")

const coolDown = (mobile: string) =>
  database.query("delete from throttles where key like 'otp-cooldown:%' and key like $1", [`%${mobile}%`])
/** A challenge for a message that is sent now. */
const challenge = async (mobile: string, from: string) => {
  await coolDown(mobile)
  const before = messages(mobile).length
  const sent = await send(mobile, from)
  assert.strictEqual(sent.status, 200, sent.text)
  assert.lengthOf(messages(mobile), before + 1)
  return { challengeId: sent.body.challengeId as string, otp: received(mobile) }
}
const guess = async (count: number, mobile: string, from: string, challengeId?: string) => {
  const replies = []
  for (const by of times(count, (n) => n + 1)) {
    replies.push(
      await verify({ mobile, otp: wrong(received(mobile), by), ...(challengeId === undefined ? {} : { challengeId }) }, from)
    )
  }
  return replies.map(({ body }) => body.code)
}
const invalid = (count: number) => times(count, () => "otp_invalid")
const exceeded = (count: number) => times(count, () => "otp_attempts_exceeded")

describe("the owner of a number for which a stranger has asked for a code", () => {
  it("gets a challenge of its own in the stranger's cooldown, without a second message", async () => {
    const mobile = freshMobile()
    const theirs = await send(mobile, stranger)
    const mine = await send(mobile, owner)
    assert.strictEqual(mine.status, 200, mine.text)
    assert.notStrictEqual(mine.body.challengeId, theirs.body.challengeId)
    assert.deepStrictEqual(Object.keys(mine.body).sort(), ["challengeId", "expiresIn", "resendAfter"])
    assert.isAtMost(mine.body.expiresIn, 300)
    assert.lengthOf(messages(mobile), 1)
    for (const from of [stranger, owner]) {
      const refused = await send(mobile, from)
      assertProblem(refused, 429, "otp_cooldown")
      assert.isAtLeast(Number(refused.headers.get("retry-after")), 20)
      assert.isAtMost(Number(refused.headers.get("retry-after")), 30)
    }
  })

  it.each([
    ["with its challenge", true],
    ["without a challenge", false]
  ])("logs in %s after the stranger's wrong codes", async (_, named) => {
    const mobile = freshMobile()
    await send(mobile, stranger)
    assert.deepStrictEqual(await guess(6, mobile, stranger), [...invalid(5), ...exceeded(1)])
    const { body } = await send(mobile, owner)
    const proof = { mobile, otp: received(mobile), ...(named ? { challengeId: body.challengeId } : {}) }
    assert.strictEqual((await verify(proof, owner)).status, 200)
  })

  it("logs in with its own code despite strangers' guesses", async () => {
    const mobile = freshMobile()
    const { otp } = await challenge(mobile, owner)
    const joined = await send(mobile, stranger)
    assert.deepStrictEqual(await guess(1, mobile, stranger, joined.body.challengeId), invalid(1))
    assert.deepStrictEqual(await guess(3, mobile, accomplice), [...invalid(1), ...exceeded(2)])
    assert.deepStrictEqual(await guess(2, mobile, stranger, joined.body.challengeId), exceeded(2))
    assert.deepStrictEqual(await guess(2, mobile, owner), invalid(2))
    assert.strictEqual((await verify({ mobile, otp }, owner)).status, 200)
  })

  it("gets a code of its own at once when others have used up the guesses they share", async () => {
    const mobile = freshMobile()
    await send(mobile, stranger)
    const { body } = await send(mobile, owner)
    assert.deepStrictEqual(await guess(3, mobile, accomplice), [...invalid(2), ...exceeded(1)])
    assertProblem(
      await verify({ mobile, otp: received(mobile), challengeId: body.challengeId }, owner),
      429,
      "otp_attempts_exceeded"
    )
    const mine = await send(mobile, owner)
    assert.strictEqual(mine.status, 200, mine.text)
    assert.lengthOf(messages(mobile), 2)
    const login = await verify({ mobile, otp: received(mobile), challengeId: mine.body.challengeId }, owner)
    assert.strictEqual(login.status, 200, login.text)
  })

  it("is not limited by the stranger's five codes in ten minutes", async () => {
    const mobile = freshMobile()
    for (const _ of times(5, (n) => n)) await challenge(mobile, stranger)
    await coolDown(mobile)
    assertProblem(await send(mobile, stranger), 429, "otp_send_limited")
    const { otp } = await challenge(mobile, owner)
    assert.strictEqual((await verify({ mobile, otp }, owner)).status, 200)
  })

  it("gets a code where it has logged in before, when strangers have used up the messages of the day", async () => {
    const mobile = freshMobile()
    assert.strictEqual((await verify({ mobile, otp: (await challenge(mobile, owner)).otp }, owner)).status, 200)
    for (const n of times(19, (index) => index)) await challenge(mobile, otherAddress(n))
    await coolDown(mobile)
    assert.strictEqual((await send(mobile, otherAddress(20))).status, 200, "joins the live code")
    assert.lengthOf(messages(mobile), 20)
    const mine = await challenge(mobile, owner)
    assert.strictEqual((await verify({ mobile, ...mine }, owner)).status, 200)
  })
})

describe("a code", () => {
  it("is evaluated five times, with its challenge and without", async () => {
    const mobile = freshMobile()
    const { challengeId, otp } = await challenge(mobile, "127.0.0.1")
    assert.deepStrictEqual(await guess(6, mobile, "127.0.0.1", challengeId), [...invalid(5), ...exceeded(1)])
    assertProblem(await verify({ mobile, otp }, "127.0.0.1"), 429, "otp_attempts_exceeded")
    assertProblem(await verify({ mobile, otp }, accomplice), 429, "otp_attempts_exceeded")
  })

  it("is evaluated five times at most, by any number of clients", async () => {
    const mobile = freshMobile()
    const { challengeId, otp } = await challenge(mobile, stranger)
    const joined = await Promise.all(
      times(8, async (n) => [otherAddress(n), (await send(mobile, otherAddress(n))).body.challengeId] as const)
    )
    const all = await Promise.all([
      ...joined.map(([from, id]) => guess(3, mobile, from, id)),
      guess(8, mobile, stranger, challengeId),
      guess(3, mobile, accomplice)
    ])
    assert.lengthOf(
      all.flat().filter((code) => code === "otp_invalid"),
      5
    )
    assertProblem(await verify({ mobile, otp, challengeId }, stranger), 429, "otp_attempts_exceeded")
    const [row] = await database.query<{ tries: number; others: number }>(
      "select tries_bound + tries_open as tries, tries_open as others from otp_challenges where id = $1",
      [challengeId]
    )
    assert.strictEqual(row?.tries, 5)
    assert.isAtMost(row?.others ?? 0, 2)
  })
})

describe("the codes of a number in a day", () => {
  it("allow a hundred guesses; then only clients that have logged in before get codes", async () => {
    const mobile = freshMobile()
    assert.strictEqual((await verify({ mobile, otp: (await challenge(mobile, owner)).otp }, owner)).status, 200)
    const theirs = await challenge(mobile, stranger)
    await database.query("update otp_challenges set tries_bound = 100 where mobile = $1 and consumed_at is not null", [mobile])
    assertProblem(await verify({ mobile, ...theirs }, stranger), 429, "otp_attempts_exceeded")
    const refused = await send(mobile, accomplice)
    assertProblem(refused, 429, "otp_send_limited")
    assert.isAtMost(Number(refused.headers.get("retry-after")), 86_400)
    assert.strictEqual((await verify({ mobile, ...(await challenge(mobile, owner)) }, owner)).status, 200)
    await database.query("update otp_challenges set created_at = created_at - interval '1 day' where mobile = $1", [mobile])
    await sleep(10)
    assert.strictEqual((await verify({ mobile, ...(await challenge(mobile, accomplice)) }, accomplice)).status, 200)
  })
})

describe("with OTP_DELIVERY=response", () => {
  it("gives each client a code of its own", async () => {
    const open = await startBackend({ DATABASE_URL: database.url, ROLE: "api", TRUSTED_PROXIES: "127.0.0.1" })
    try {
      const mobile = freshMobile()
      const theirs = await send(mobile, stranger, open.url)
      const mine = await send(mobile, owner, open.url)
      assert.match(mine.body.otp, /^\d{6}$/)
      const crossed = await verify({ mobile, otp: mine.body.otp, challengeId: theirs.body.challengeId }, owner, open.url)
      if (mine.body.otp !== theirs.body.otp) assertProblem(crossed, 400, "otp_invalid")
      const { challengeId, otp } = mine.body
      assert.strictEqual((await verify({ mobile, otp, challengeId }, owner, open.url)).status, 200)
    } finally {
      await open.stop()
    }
  })
})
