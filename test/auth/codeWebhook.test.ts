import { setTimeout as sleep } from "node:timers/promises"
import { Stripe } from "stripe"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { startBackend, startProcess } from "../support/Backend.ts"
import { freePort } from "../../dev/freePort.ts"
import { freshMobile, type Reply, request } from "../support/Client.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"
import { type Answer, type Delivery, startGateway } from "./Gateway.ts"
import { assertProblem, loggedIn } from "./People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const secret = "the-key-of-these-signatures-0123"
/** Milliseconds a delivery may take, and some for a busy machine. */
const deadline = 5_000
const patience = 4_000

let database: TestDatabase
let gateway: Awaited<ReturnType<typeof startGateway>>
let backend: Awaited<ReturnType<typeof startBackend>>

const settings = (own: Record<string, string> = {}) => ({
  DATABASE_URL: database.url,
  ROLE: "api",
  OTP_DELIVERY: "webhook",
  OTP_WEBHOOK_URL: gateway.url,
  OTP_WEBHOOK_SECRET: secret,
  LOG_LEVEL: "none",
  ...own
})

beforeAll(async () => {
  database = await createDatabase()
  gateway = await startGateway()
  backend = await startBackend(settings())
})
beforeEach(async () => {
  gateway.answerWith()
  gateway.deliveries.length = 0
  await forgetThrottles(database)
})
afterAll(async () => {
  await backend.stop()
  await gateway.stop()
  await database.drop()
})

const post = (path: string, body: unknown) => request(backend.url, "POST", path, { body })
const send = (mobile: string) => post("/auth/send-otp", { mobile })
const verify = (body: unknown) => post("/auth/verify-otp", body)
const last = (): Delivery => gateway.deliveries.at(-1) ?? assert.fail("nothing was delivered")
const challenges = (mobile: string) => database.query("select id from otp_challenges where mobile = $1", [mobile])

/** Asks for a code that comes, and logs in with what the gateway was given. */
const logsIn = async (mobile: string): Promise<Reply> => {
  const sent = await send(mobile)
  assert.strictEqual(sent.status, 200, sent.text)
  return verify({ mobile, otp: last().code.otp, challengeId: sent.body.challengeId })
}

describe("a code that is delivered", () => {
  it("is posted once, signed like Stripe's webhooks, and is in no response", async () => {
    const mobile = freshMobile()
    const sent = await send(mobile)
    assert.strictEqual(sent.status, 200, sent.text)
    assert.deepStrictEqual(Object.keys(sent.body).sort(), ["challengeId", "expiresIn", "resendAfter"])
    assert.lengthOf(gateway.deliveries, 1)
    const { body, code, headers, path } = last()
    assert.strictEqual(path, "/codes?key=token-of-the-url")
    assert.deepStrictEqual(code, {
      mobile,
      otp: code.otp,
      purpose: "login",
      expiresIn: 300,
      challengeId: sent.body.challengeId
    })
    assert.match(code.otp, /^\d{6}$/)
    assert.strictEqual(headers["content-type"], "application/json")
    assert.strictEqual(headers["idempotency-key"], sent.body.challengeId)
    const { signature } = Stripe.webhooks
    assert.isNotNull(signature)
    const header = String(headers["otp-signature"])
    assert.isTrue(signature.verifyHeader(body, header, secret, 60))
    assert.throws(() => signature.verifyHeader(body.replace(code.otp, "000000"), header, secret, 60))
    assert.throws(() => signature.verifyHeader(body, header, `${secret}!`, 60))
    assert.throws(() => signature.verifyHeader(body, header.replace(/t=\d+/, "t=1"), secret))
    loggedIn(backend.url, await verify({ mobile, otp: code.otp, challengeId: code.challengeId }))
  })

  it("says when it is for a forgotten password", async () => {
    const mobile = freshMobile()
    assert.strictEqual((await post("/auth/forgot-password", { mobile })).status, 200)
    assert.strictEqual(last().code.purpose, "reset_password")
  })

  it("is the same for known and unknown numbers", async () => {
    const [known, unknown] = [freshMobile(), freshMobile()]
    loggedIn(backend.url, await logsIn(known))
    await forgetThrottles(database)
    gateway.deliveries.length = 0
    for (const path of ["/auth/send-otp", "/auth/forgot-password"]) {
      const [one, other] = [await post(path, { mobile: known }), await post(path, { mobile: unknown })]
      const shape = ({ body, status }: Reply) => ({ ...body, challengeId: "", status })
      assert.deepStrictEqual(shape(one), shape(other))
    }
    assert.deepStrictEqual(
      gateway.deliveries.map(({ code }) => code.mobile),
      [known, unknown, known, unknown]
    )
  })

  it("keeps its challenge when its client disconnects", async () => {
    const mobile = freshMobile()
    const hangUp = new AbortController()
    gateway.answerWith((response) => {
      hangUp.abort()
      setTimeout(() => response.writeHead(200).end(), 300)
    })
    const sent = fetch(`${backend.url}/auth/send-otp`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ mobile }),
      signal: hangUp.signal
    }).catch(() => "hung up")
    assert.strictEqual(await sent, "hung up")
    await until("the gateway has answered", async () => gateway.open() === 0)
    await sleep(200)
    assertProblem(await send(mobile), 429, "otp_cooldown")
    loggedIn(backend.url, await verify({ mobile, otp: last().code.otp }))
  })
})

describe("an answer that is long or slow", () => {
  const chunk = Buffer.alloc(8_192, "x")
  it("is not read to its end, because its status says that the code is on its way", async () => {
    let sent = 0
    gateway.answerWith((response) => {
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write(chunk)) sent += chunk.length
        if (!response.destroyed) response.once("drain", more)
      }
      more()
    })
    const began = performance.now()
    assert.strictEqual((await logsIn(freshMobile())).status, 200)
    assert.isBelow(performance.now() - began, deadline + patience)
    await until("the connection is closed", async () => gateway.open() === 0)
    assert.isBelow(sent, 50_000_000)
  })

  it("ends the wait at the time limit of a delivery", async () => {
    gateway.answerWith((response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write("x"), 50)
      response.on("close", () => clearInterval(drip))
    })
    const began = performance.now()
    assert.strictEqual((await logsIn(freshMobile())).status, 200)
    assert.isBelow(performance.now() - began, deadline + patience)
    await until("the connection is closed", async () => gateway.open() === 0)
  })
})

const failures: ReadonlyArray<readonly [what: string, answer: Answer]> = [
  ["an error", (response) => response.writeHead(500).end('{"error":"no credit"}')],
  ["a refusal", (response) => response.writeHead(401).end()],
  ["a redirect", (response) => response.writeHead(307, { location: "/elsewhere" }).end()],
  ["a redirect of another kind", (response) => response.writeHead(303, { location: "/elsewhere" }).end()],
  ["a connection that breaks", (response) => response.destroy()],
  ["an answer that breaks off before its status", (response) => response.socket?.end("HTTP/1.1 2")],
  ["no HTTP", (response) => response.socket?.end("+OK\r\n\r\n")],
  ["no answer", () => {}],
  [
    "an endless head",
    (response) => {
      response.socket?.write("HTTP/1.1 200 OK\r\n")
      const drip = setInterval(() => response.socket?.write("x: y\r\n"), 50)
      response.on("close", () => clearInterval(drip))
    }
  ]
]

describe("a code that is not delivered", () => {
  it.each(failures)("because of %s is 503, and the client can request another at once", async (_, answer) => {
    const mobile = freshMobile()
    gateway.answerWith(answer)
    const began = performance.now()
    const refused = await send(mobile)
    assertProblem(refused, 503, "delivery_failed")
    assert.isBelow(performance.now() - began, deadline + patience)
    assert.notInclude(refused.text, last().code.otp)
    assert.deepStrictEqual(new Set(gateway.deliveries.map(({ path }) => path.split("?")[0])), new Set(["/codes"]))
    assert.lengthOf(await challenges(mobile), 0)
    // What was never sent is good for nothing, even if it came.
    assertProblem(await verify({ mobile, otp: last().code.otp }), 400, "otp_invalid")
    gateway.answerWith()
    loggedIn(backend.url, await logsIn(mobile))
  })

  it("because the gateway does not listen is 503, too", async () => {
    const alone = await startBackend(settings({ OTP_WEBHOOK_URL: `http://127.0.0.1:${await freePort()}/` }))
    try {
      const mobile = freshMobile()
      for (const _ of times(2, () => 0)) {
        assertProblem(await request(alone.url, "POST", "/auth/send-otp", { body: { mobile } }), 503, "delivery_failed")
      }
    } finally {
      await alone.stop()
    }
  })

  it("leaves the previous code valid", async () => {
    const mobile = freshMobile()
    assert.strictEqual((await send(mobile)).status, 200)
    const { otp } = last().code
    await forgetThrottles(database)
    gateway.answerWith((response) => response.writeHead(503).end())
    assertProblem(await send(mobile), 503, "delivery_failed")
    loggedIn(backend.url, await verify({ mobile, otp }))
  })

  it("counts as sent, so that a failing gateway is not called without limit", async () => {
    const mobile = freshMobile()
    gateway.answerWith((response) => response.writeHead(500).end())
    for (const _ of times(5, () => 0)) assertProblem(await send(mobile), 503, "delivery_failed")
    assertProblem(await send(mobile), 429, "otp_send_limited")
    assertProblem(await post("/auth/forgot-password", { mobile }), 429, "otp_send_limited")
    assert.lengthOf(gateway.deliveries, 5)
  })

  it("is posted again with the same key when the connection was closed", async () => {
    gateway.answerWith((response) => (gateway.deliveries.length === 1 ? response.destroy() : response.writeHead(200).end()))
    assert.strictEqual((await logsIn(freshMobile())).status, 200)
    const [first, second, ...more] = gateway.deliveries
    assert.lengthOf(more, 0)
    assert.strictEqual(second?.body, first?.body)
    assert.strictEqual(second?.headers["idempotency-key"], first?.headers["idempotency-key"])
  })
})

describe("a gateway that hangs", () => {
  it("gets 32 codes at once; others are 503 without a call, and no other request waits", async () => {
    gateway.answerWith(() => {})
    const sends = Promise.all(times(60, () => send(freshMobile())))
    await until("many hang", async () => gateway.open() > 16)
    assert.strictEqual((await request(backend.url, "GET", "/readyz")).status, 200)
    for (const reply of await sends) assertProblem(reply, 503, "delivery_failed")
    assert.isAtMost(gateway.mostOpen(), 32)
    gateway.answerWith()
    assert.strictEqual((await logsIn(freshMobile())).status, 200)
  })
})

describe("the log", () => {
  it("has failures, and never a code, a number, the secret or the URL", async () => {
    const loud = await startProcess(settings({ LOG_LEVEL: "trace" }))
    try {
      await loud.started()
      const ask = (mobile: string) => request(loud.url, "POST", "/auth/send-otp", { body: { mobile } })
      const mobile = freshMobile()
      gateway.answerWith((response, { body }) => response.writeHead(500, { "x-echo": encodeURIComponent(body) }).end(body))
      assert.strictEqual((await ask(mobile)).status, 503)
      gateway.answerWith((response) => response.destroy())
      assert.strictEqual((await ask(mobile)).status, 503)
      gateway.answerWith()
      assert.strictEqual((await ask(mobile)).status, 200)
      await until("both failures are told", async () => loud.output().split("could not be delivered").length === 3)
      assert.include(loud.output(), "the answer was 500")
      for (const { code } of gateway.deliveries) assert.notMatch(loud.output(), new RegExp(`\\b${code.otp}\\b`))
      for (const word of [mobile, mobile.slice(1), secret, "token-of-the-url"]) assert.notInclude(loud.output(), word)
    } finally {
      await loud.kill("SIGKILL")
    }
  })
})

describe("OTP_DELIVERY=none, with your own sender", () => {
  it("uses the gateway if OTP_WEBHOOK_URL is set", async () => {
    const own = await startBackend(settings({ OTP_DELIVERY: "none" }))
    const sent = await request(own.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })
    await own.stop()
    assert.deepStrictEqual(Object.keys(sent.body).sort(), ["challengeId", "expiresIn", "resendAfter"])
    assert.strictEqual(last().code.challengeId, sent.body.challengeId)
  })
})
