import { createHmac } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Stripe } from "stripe"
import { afterAll, assert, beforeAll, beforeEach, describe, it, vi } from "vitest"
import type { Person } from "../support/Client.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, awaitStatus, readEnded, sendQuestion, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { type Answer, startGateway } from "../auth/Gateway.ts"

vi.setConfig({ testTimeout: 90_000 })

const secret = "the-key-of-moderation-0123456789abcdef"

let gateway: Awaited<ReturnType<typeof startGateway>>
let closed: TestBackends
let open: TestBackends

const settings = (fail: string) => ({
  MODERATION_URL: gateway.url,
  MODERATION_SECRET: secret,
  MODERATION_FAIL: fail,
  AUTO_TITLES: "words",
  BASIC_DAILY_PROMPTS: "100",
  LOG_LEVEL: "none"
})

const answering =
  (body: unknown, status = 200): Answer =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
const allow = answering({ allow: true })

beforeAll(async () => {
  gateway = await startGateway()
  closed = await startBackends(settings("closed"))
  open = await startBackends(settings("open"))
})
beforeEach(() => {
  gateway.answerWith(allow)
  gateway.deliveries.length = 0
})
afterAll(async () => {
  await closed.stop()
  await open.stop()
  await gateway.stop()
})

let questions = 0

/** Asks the only question of a new user, and waits for its reply to end. */
const asked = async (backends: TestBackends, words = "") => {
  const person = await backends.newUser()
  const about = `[moderated ${questions++}]`
  const startedAt = performance.now()
  const { body: reply } = await awaitEnd(person, await person.ask(await person.room(), `${words}${about}`))
  const calls = callsAbout(backends, about)
  return { person, about, reply, calls, used: await usedToday(person), millis: performance.now() - startedAt }
}

const bodies = () => gateway.deliveries.map(({ body }) => JSON.parse(body) as Record<string, unknown>)

describe("a question that moderation allows", () => {
  it("is posted once, signed as Stripe signs, before the model is asked", async () => {
    gateway.answerWith((response, delivery) => {
      assert.deepStrictEqual(callsAbout(closed, JSON.parse(delivery.body).text), [])
      allow(response, delivery)
    })
    const { about, calls, reply } = await asked(closed)
    assert.deepEqual([reply.status, calls.length, gateway.deliveries.length], ["completed", 1, 1])
    const [delivery] = gateway.deliveries
    assert.hasAllKeys(bodies()[0], ["text", "replyId", "userKey"])
    assert.deepInclude(bodies()[0], { text: about, replyId: reply.id })
    const { signature } = Stripe.webhooks
    const header = String(delivery?.headers["moderation-signature"])
    assert.isTrue(signature?.verifyHeader(delivery?.body ?? "", header, secret, 60))
    assert.throws(() => signature?.verifyHeader(delivery?.body ?? "", header, `${secret}!`, 60))
  })

  it("names the user by a key of the secret, never by number or id", async () => {
    const { person } = await asked(closed)
    await awaitEnd(person, await person.ask(await person.room(), "another"))
    await asked(closed)
    const [first, second, other] = bodies().map(({ userKey }) => userKey)
    assert.strictEqual(first, second)
    assert.notStrictEqual(first, other)
    const [user] = await closed.database.query<{ mobile: string; quota_key: string }>(
      "select mobile, quota_key from users where id = $1",
      [person.userId]
    )
    assert.strictEqual(first, createHmac("sha256", secret).update(`user\u0000${user?.quota_key}`).digest("base64url"))
    const posted = JSON.stringify(gateway.deliveries)
    for (const part of [user?.mobile ?? "", user?.mobile.slice(-8) ?? "", user?.quota_key ?? "", person.userId]) {
      assert.notInclude(posted, part)
    }
  })

  it("is not posted again when the model has to be asked again", async () => {
    const { calls, reply } = await asked(closed, "[[status 503 times 2]] ")
    assert.deepEqual([reply.status, calls.length, gateway.deliveries.length], ["completed", 3, 1])
  })

  it("is posted again for another reply to it", async () => {
    const { person, reply } = await asked(closed)
    const path = `/chatroom/${reply.chatroomId}/message/${reply.id}/regenerate`
    const again = await person.call("POST", path, {})
    assert.strictEqual(again.status, 202, again.text)
    await awaitEnd(person, again)
    assert.deepEqual(
      bodies().map(({ replyId }) => replyId),
      [reply.id, again.body.reply.id]
    )
  })
})

describe("a question that moderation refuses", () => {
  it("fails as blocked, without a call of the model and without a refund", async () => {
    gateway.answerWith(answering({ allow: false, category: "self-harm" }))
    const { calls, person, reply, used } = await asked(closed)
    assert.deepEqual([reply.status, reply.content, reply.finishReason, calls.length, used], ["failed", "", null, 0, 1])
    const { message, ...error } = reply.error
    assert.isString(message)
    assert.deepEqual(error, { code: "blocked", reason: "MODERATION", about: "question", categories: ["self-harm"] })
    const receipt = await person.call("GET", `/chatroom/${reply.chatroomId}/message/${reply.id}/context`)
    assert.deepEqual(receipt.body.included, [])
  })

  for (const category of [undefined, null, 5, "", "x".repeat(65), "a\u0000b", { a: 1 }]) {
    it(`is refused also with the category ${JSON.stringify(category)?.slice(0, 20)}, which is left out`, async () => {
      gateway.answerWith(answering({ allow: false, category, more: "ignored" }))
      const { reply } = await asked(open)
      assert.deepEqual([reply.error.code, reply.error.categories], ["blocked", []])
    })
  }

  it("is not part of the next prompt", async () => {
    gateway.answerWith(answering({ allow: false }))
    const { about, person, reply } = await asked(closed)
    gateway.answerWith(allow)
    const next = await person.ask(reply.chatroomId, "[after a refusal]")
    assert.strictEqual((await awaitEnd(person, next)).body.status, "completed")
    assert.notInclude(JSON.stringify(callsAbout(closed, "[after a refusal]")), about)
  })

  it("names no room", async () => {
    const titled = await startBackends({ ...settings("closed"), AUTO_TITLES: "model" })
    try {
      gateway.answerWith(answering({ allow: false }))
      const { about } = await asked(titled)
      await until("no job is left", async () => {
        const [left] = await titled.database.query<{ count: number }>("select count(*)::int as count from graphile_worker.jobs")
        return left?.count === 0
      })
      assert.deepStrictEqual(titled.gemini.log(about), [])
      gateway.answerWith(allow)
      const allowed = await asked(titled)
      await until("the room is named", () => titled.gemini.log(allowed.about).length === 2)
    } finally {
      await titled.stop()
    }
  })
})

/** What a broken gateway does instead of answering. */
const broken: ReadonlyArray<readonly [string, Answer]> = [
  ["text that is not JSON", (response) => response.writeHead(200).end("allow")],
  ["JSON without a verdict", answering({})],
  ["a verdict that is not a boolean", answering({ allow: "true" })],
  ["a list", answering([{ allow: true }])],
  ["an allowance with the status 500", answering({ allow: true }, 500)],
  ["an allowance with the status 404", answering({ allow: true }, 404)],
  ["an empty 204", (response) => response.writeHead(204).end()],
  ["a body of 20 KB", answering({ allow: true, x: "x".repeat(20_000) })],
  ["a body of 64 MiB", answering({ allow: true, x: "x".repeat(64 * 1_048_576) })],
  ["a body that is cut off", (response) => void response.writeHead(200, { "content-length": "100" }).write('{"allow":true}')],
  ["a connection that is reset", (response) => void response.socket?.resetAndDestroy()]
]

describe("a gateway that errs", () => {
  for (const [name, answer] of broken) {
    it(`is not believed: ${name}`, async () => {
      gateway.answerWith(answer)
      const { calls, reply } = await asked(open)
      assert.deepEqual([reply.status, calls.length], ["completed", 1])
      gateway.deliveries.length = 0
      const person = await closed.newUser()
      const place = await sendQuestion(person, `[closed] ${name}`)
      await until("the gateway is asked", () => gateway.deliveries.length > 0)
      await awaitStatus(person, place, "waiting")
      assert.deepStrictEqual(callsAbout(closed, `[closed] ${name}`), [])
      gateway.answerWith(allow)
      assert.strictEqual((await readEnded(person, place)).status, "completed")
    })
  }

  it("is given up after three seconds when it hangs", async () => {
    gateway.answerWith(() => {})
    const { millis, reply } = await asked(open)
    assert.strictEqual(reply.status, "completed")
    assert.isAbove(millis, 2_500)
    assert.isBelow(millis, 10_000)
    await until("its connection is closed", () => gateway.open() === 0)
  })

  it("is followed nowhere when it redirects", async () => {
    let followed = 0
    const target = createServer((_, response) => {
      followed++
      response.end('{"allow":true}')
    }).listen(0, "127.0.0.1")
    await once(target, "listening")
    const location = `http://127.0.0.1:${(target.address() as AddressInfo).port}/`
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        gateway.answerWith((response) => response.writeHead(status, { location }).end('{"allow":false}'))
        assert.strictEqual((await asked(open)).reply.status, "completed")
      }
      assert.strictEqual(followed, 0)
    } finally {
      target.close()
    }
  })

  it("fails the reply with a refund after four attempts when it is closed, and logs no text", async () => {
    gateway.answerWith(answering({ allow: true }, 503))
    const { calls, reply, used } = await asked(closed)
    assert.deepEqual([reply.status, reply.content, reply.error.code, reply.attempt], ["failed", "", "moderation_unavailable", 4])
    assert.deepEqual([calls.length, used, gateway.deliveries.length], [0, 0, 4])
  })
})

describe("a reply during moderation", () => {
  it("can be cancelled at once, which ends the post", async () => {
    gateway.answerWith(() => {})
    const person = await closed.newUser()
    const place = await sendQuestion(person, "[cancelled in moderation]")
    await until("the gateway is asked", () => gateway.open() === 1)
    const startedAt = performance.now()
    const cancelled = await person.call("POST", `/chatroom/${place.room}/message/${place.reply}/cancel`)
    assert.deepEqual([cancelled.status, cancelled.body.status, cancelled.body.content], [200, "cancelled", ""])
    await until("the post is ended", () => gateway.open() === 0)
    assert.isBelow(performance.now() - startedAt, 2_000)
    assert.deepStrictEqual(callsAbout(closed, "[cancelled in moderation]"), [])
  })

  it("does not delay other users' replies", async () => {
    const waiting: Array<Parameters<Answer>> = []
    gateway.answerWith((response, delivery) =>
      delivery.body.includes("[slow]") ? void waiting.push([response, delivery]) : allow(response, delivery)
    )
    const slow = await Promise.all(
      times(20, async (n) => {
        const person: Person = await closed.newUser()
        return { person, place: await sendQuestion(person, `[slow] ${n}`) }
      })
    )
    await until("all are asked about", () => waiting.length > 0)
    const { reply } = await asked(closed)
    assert.strictEqual(reply.status, "completed")
    gateway.answerWith(allow)
    for (const held of waiting) allow(...held)
    for (const { person, place } of slow) assert.strictEqual((await readEnded(person, place)).status, "completed")
  })
})

describe("a server without MODERATION_URL", () => {
  it("posts nothing", async () => {
    const plain = await startBackends({ LOG_LEVEL: "none" })
    try {
      assert.strictEqual((await asked(plain)).reply.status, "completed")
      assert.lengthOf(gateway.deliveries, 0)
    } finally {
      await plain.stop()
    }
  })
})
