import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem } from "./People.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let indian: typeof backend

beforeAll(async () => {
  database = await createDatabase()
  const settings = { DATABASE_URL: database.url, ROLE: "api" }
  backend = await startBackend(settings)
  indian = await startBackend({ ...settings, OTP_COUNTRIES: "IN,AE", DEFAULT_REGION: "IN" })
})
afterAll(async () => {
  await Promise.all([backend.stop(), indian.stop()])
  await database.drop()
})

const post = (path: string, body: unknown, base = backend.url) => request(base, "POST", path, { body })
const routes = ["/auth/send-otp", "/auth/forgot-password"]
/** A fresh number as its ten national digits, in two groups. */
const fresh = () => /^\+91(\d{5})(\d{5})$/.exec(freshMobile())?.slice(1) as [string, string]

describe("a number as people paste it", () => {
  it.each([
    ["in brackets", ([a, b]: [string, string]) => `(+91) ${a} ${b}`],
    ["from a right-to-left text", ([a, b]: [string, string]) => `\u202a+91 ${a} ${b}\u202c`],
    ["with no-break spaces", ([a, b]: [string, string]) => `+91\u00a0${a}\u202f${b}`],
    ["with other dashes", ([a, b]: [string, string]) => `+91\u2011${a}\u2013${b}`]
  ])("is registered as one number: %s", async (_, spell) => {
    const parts = fresh()
    const reply = await post("/auth/signup", { mobile: spell(parts) })
    assert.strictEqual(reply.status, 201, reply.text)
    assert.strictEqual(reply.body.user.mobile, `+91${parts.join("")}`)
  })

  it("is normalised when it is a Mexican number with the old 1", async () => {
    const reply = await post("/auth/signup", { mobile: "+52 1 55 1234 5678" })
    assert.strictEqual(reply.body.user?.mobile, "+525512345678", reply.text)
  })

  it.each([
    ["a country code", "98765\u200b43210", "must be a mobile number with a country code, as +919876543210"],
    [
      "digits only",
      "+91 \u202e98765\u2028x43210",
      "must be a mobile number of digits, spaces, dashes, dots and brackets, with a country code, as +919876543210"
    ],
    [
      "a mobile number",
      "+91 22 2778 1234",
      "must be a mobile number that can receive codes, with a country code, as +919876543210"
    ],
    ["a string", 919876543210, "must be a mobile number with a country code, as +919876543210"]
  ])("is refused with what is missing: %s", async (_, mobile, message) => {
    const reply = await post("/auth/send-otp", { mobile })
    assertProblem(reply, 400, "validation_failed")
    assert.deepStrictEqual(reply.body.errors, [{ path: "/mobile", message }])
    assert.notMatch(reply.text, /[\p{Cf}\u2028]|98765x|2778/u)
  })
})

describe("a code that is not a string of six digits", () => {
  it.each([123456, "12345", "12345a", null, true])("is refused with what is expected: %j", async (otp) => {
    const reply = await post("/auth/verify-otp", { mobile: freshMobile(), otp })
    assertProblem(reply, 400, "validation_failed")
    assert.deepStrictEqual(reply.body.errors, [{ path: "/otp", message: "must be a string of six digits" }])
  })
})

describe("DEFAULT_REGION", () => {
  it("reads national numbers of its country", async () => {
    const [a, b] = fresh()
    const sent = await post("/auth/send-otp", { mobile: `0${a} ${b}` }, indian.url)
    assert.strictEqual(sent.status, 200, sent.text)
    const { challengeId, otp } = sent.body
    const login = await post("/auth/verify-otp", { mobile: `${a}-${b}`, otp, challengeId }, indian.url)
    assert.strictEqual(login.body.user?.mobile, `+91${a}${b}`, login.text)
    assertProblem(await post("/auth/send-otp", { mobile: `${a}${b}` }), 400, "validation_failed")
  })
})

describe("OTP_COUNTRIES", () => {
  it.each(routes)("sends no code to numbers of other countries: %s", async (path) => {
    for (const mobile of ["+14155552671", "+447911123456"]) {
      assertProblem(await post(path, { mobile }, indian.url), 422, "country_unsupported")
      assert.strictEqual((await post(path, { mobile })).status, 200)
    }
    assert.strictEqual((await post(path, { mobile: "+971501234567" }, indian.url)).status, 200)
    assert.lengthOf(await database.query("select 1 from otp_challenges where mobile = '+14155552671'"), routes.indexOf(path) + 1)
  })

  it.each([
    ["a satellite phone", "+881612345678"],
    ["a ship", "+870773111632"],
    ["a premium-rate number", "+19005550199"],
    ["an international premium-rate number", "+979123456789"]
  ])("sends no code to %s, whatever the setting is", async (_, mobile) => {
    for (const { url } of [backend, indian])
      assertProblem(await post("/auth/send-otp", { mobile }, url), 400, "validation_failed")
  })
})
