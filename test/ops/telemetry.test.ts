import { createServer } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startGeminiSimulator, type GeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

describe("traces", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>
  const received: Array<{ readonly path: string | undefined; readonly body: string }> = []
  const collector = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text) => (body += text))
    request.on("end", () => {
      received.push({ path: request.url, body })
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  })

  beforeAll(async () => {
    await once(collector.listen(0, "127.0.0.1"), "listening")
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    backend = await startBackend({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/`
    })
  })
  afterAll(async () => {
    await Promise.all([gemini.stop(), database.drop()])
    collector.close()
  })

  it("reach the collector without secrets", async () => {
    const person = await logIn(backend.url)
    const answered = await person.ask(await person.room(), "[[say Traced.]]", { wait: 20 })
    assert.strictEqual(answered.body.reply.content, "Traced.")
    assert.strictEqual((await person.call("GET", "/search?q=unspeakable&unnamed")).status, 200)
    const cookie = `refresh=${"c00k1e".repeat(20)}`
    const refused = await request(backend.url, "POST", "/auth/refresh", {
      body: {},
      headers: { "x-refresh-token": "cookie", cookie }
    })
    assert.strictEqual(refused.status, 401)
    const ticket = (await person.call("POST", "/user/me/export-ticket")).body
    assert.strictEqual((await request(backend.url, "GET", ticket.url)).status, 200)
    const shared = await person.call("POST", `/chatroom/${answered.body.reply.chatroomId}/share`, {})
    const token = String(shared.body.url).split("/").at(-1) ?? ""
    assert.strictEqual((await person.call("GET", `/share/${token}?limit=1`)).status, 200)
    assert.strictEqual((await person.call("POST", `/share/${token}/copy`, {})).status, 201)
    // Stopping sends the buffered spans.
    await backend.stop()
    const all = received.map(({ body }) => body).join("\n")
    assert.deepStrictEqual([...new Set(received.map(({ path }) => path))], ["/v1/traces"])
    for (const name of ["POST", "Sending.send", "ReplyMaker.attempt", "gemini-chat-backend", "send_message"])
      assert.include(all, name)
    assert.include(all, "/search")
    assert.include(all, "/share/…")
    for (const secret of [
      token,
      person.token,
      person.mobile,
      "Traced.",
      "unspeakable",
      "unnamed",
      "url.query",
      "c00k1e",
      ticket.ticket
    ])
      assert.notInclude(all, secret)
  })
})
