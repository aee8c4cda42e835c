import { once } from "node:events"
import { createServer } from "node:http"
import { Effect, Layer } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { environment } from "../../src/ops/Launch.ts"
import { MetricsLayer } from "../../src/ops/Metrics.ts"
import { Admission } from "../../src/server/Admission.ts"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, logIn, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ADMIN_TOKEN: "operator-of-the-tests" })
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})

const inProgress = async (activity: string, base = backend.url) => {
  const { text } = await request(base, "GET", "/metrics", { token: "operator-of-the-tests" })
  return Number(new RegExp(`chat_requests_in_progress\\{activity="${activity}"\\} (\\d+)`).exec(text)?.[1])
}

describe("a user's waits", () => {
  it("are five at a time; a sixth is answered with the state at once, and other users wait as before", async () => {
    const ada = await logIn(backend.url)
    const bob = await logIn(backend.url)
    const rooms = [await ada.room(), await ada.room()]
    const [asked, other] = await Promise.all(rooms.map(async (room) => (await ada.ask(room, "[[latency 60000]]")).body.reply.id))
    const replies: Array<Reply> = []
    const waits = times(45, async (n) => {
      const path = n % 2 === 0 ? `/chatroom/${rooms[0]}/message/${asked}` : `/chatroom/${rooms[1]}/latest`
      replies.push(await ada.call("GET", `${path}?wait=25`))
    })
    await until("all but five are answered", async () => replies.length === 40)
    assert.strictEqual(await inProgress("waiting"), 5)
    for (const { body, headers, status } of replies) {
      assert.strictEqual(status, 200)
      assert.include(["queued", "processing"], (body.reply ?? body).status)
      assert.strictEqual(headers.get("retry-after"), "1")
    }
    const accepted = await ada.call("POST", `/chatroom/${await ada.room()}/message?wait=25`, { content: "[[latency 60000]]" })
    assert.strictEqual(accepted.status, 202)

    const answered = await bob.ask(await bob.room(), "[[latency 500]] Hello", { wait: 25 })
    assert.strictEqual(answered.status, 201)
    for (const [index, id] of [asked, other].entries()) await ada.call("POST", `/chatroom/${rooms[index]}/message/${id}/cancel`)
    await Promise.all(waits)
    assert.strictEqual(replies.filter(({ body }) => (body.reply ?? body).status === "cancelled").length, 5)
    assert.strictEqual(await inProgress("waiting"), 0)
  })

  it("take no places of codes, passwords and payments, even those of many users together", async () => {
    const settings = {
      APP_ENV: "test",
      DATABASE_URL: "postgres://x@localhost/x",
      REQUEST_CONCURRENCY: "1000",
      GEMINI_API_KEY: "x"
    }
    const layer = Admission.layer.pipe(
      Layer.provide(MetricsLayer),
      Layer.provide(AppConfig.layer),
      Layer.provide(environment({ ...settings, JWT_KEYS: `test:${Buffer.alloc(32, "0123456789abcdefXYZ").toString("base64")}` }))
    )
    await Effect.gen(function* () {
      const admission = yield* Admission
      const enter = () => admission.enter("working", { address: () => null, disconnected: Effect.never })
      let waits = 0
      while (enter()?.move("waiting") === true) waits++
      assert.strictEqual(waits, 5_000)
      for (const kind of ["delivering", "hashing", "billing"] as const) assert.isTrue(enter()?.move(kind), kind)
    }).pipe(Effect.provide(layer), Effect.scoped, Effect.runPromise)
  })

  it("are counted apart from those for the gateway of codes and for Stripe", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1")
    await once(silent, "listening")
    const address = silent.address()
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
    const hanging = await startBackend({
      DATABASE_URL: database.url,
      ROLE: "api",
      ADMIN_TOKEN: "operator-of-the-tests",
      OTP_DELIVERY: "webhook",
      OTP_WEBHOOK_URL: url,
      OTP_WEBHOOK_SECRET: "0123456789abcdefghijklmnopqrstuv",
      BILLING: "on",
      STRIPE_SECRET_KEY: "sk_test_x",
      STRIPE_PRO_PRICE_ID: "price_x",
      STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
      STRIPE_API_BASE: url,
      LOG_LEVEL: "none"
    })
    try {
      const ada = await logIn(backend.url)
      const asked = [
        request(hanging.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } }),
        request(hanging.url, "POST", "/subscribe/pro", { token: ada.token })
      ]
      await until("both wait", async () => {
        const [codes, payments] = await Promise.all(["delivering", "billing"].map((kind) => inProgress(kind, hanging.url)))
        return codes === 1 && payments === 1
      })
      assert.deepStrictEqual([await inProgress("waiting", hanging.url), await inProgress("working", hanging.url)], [0, 0])
      silent.closeAllConnections()
      silent.close()
      assert.deepStrictEqual(
        (await Promise.all(asked)).map(({ body }) => body.code),
        ["delivery_failed", "billing_unavailable"]
      )
    } finally {
      await hanging.stop()
    }
  })
})
