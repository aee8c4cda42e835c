import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { until } from "../support/wait.ts"
import { openStream, placeOf } from "../stream/SseClient.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { awaitEnd } from "../support/messages.ts"

const mebibyte = 1_048_576

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let piece = ""
let closedAfter: ReadonlyArray<number> = []

/** A model that answers in pieces, until 50 MiB are sent. */
const endless = createServer(async (request, response) => {
  request.resume()
  let sent = 0
  response.setMaxListeners(0).once("close", () => (closedAfter = [...closedAfter, sent]))
  response.writeHead(200, { "content-type": "text/event-stream" })
  const event = `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: piece }] } }] })}\n\n`
  while (sent < 50 * mebibyte && !response.destroyed) {
    sent += Buffer.byteLength(piece)
    if (!response.write(event)) await Promise.race([once(response, "drain"), once(response, "close")])
  }
  response.end(`data: ${JSON.stringify({ candidates: [{ finishReason: "STOP" }] })}\n\n`)
})

beforeAll(async () => {
  await once(endless.listen(0, "127.0.0.1"), "listening")
  database = await createDatabase()
  backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: `http://127.0.0.1:${(endless.address() as AddressInfo).port}`,
    LOG_LEVEL: "none"
  })
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
  endless.close()
})

describe("an answer of 50 MiB", () => {
  it.each([
    ["in pieces of ASCII", "0123456789abcdef".repeat(4_096)],
    ["in pieces with characters of four bytes", "🌊a".repeat(13_000)],
    ["in one piece", "x".repeat(50 * mebibyte)],
    ["of control characters, which JSON escapes", "\u0001".repeat(100_000)]
  ])("%s is cut at 1 MiB, completed and truncated, and its call is ended", { timeout: 120_000 }, async (_, text) => {
    piece = text
    closedAfter = []
    const person = await logIn(backend.url)
    const room = await person.room()
    const sent = await person.ask(room, "Tell me everything.")
    const stream = await openStream(backend.url, person, placeOf(sent))
    const reply = (await awaitEnd(person, sent)).body
    assert.deepStrictEqual([reply.status, reply.truncated, reply.finishReason, reply.error], ["completed", true, null, null])
    const bytes = Buffer.byteLength(reply.content)
    assert.isAtMost(bytes, mebibyte)
    assert.isAbove(bytes, mebibyte - 4)
    assert.isTrue(text.repeat(Math.ceil(mebibyte / text.length)).startsWith(reply.content))
    assert.strictEqual(await stream.closed, "end")
    assert.isTrue(stream.text() === reply.content)
    await until("the end of the call", () => closedAfter.length === 1)
    assert.isAtMost(closedAfter[0] ?? 0, text.length > mebibyte ? text.length : 50 * mebibyte - 1)
    for (const path of [`/chatroom/${room}`, `/chatroom/${room}/export`, "/user/me/export", "/search?q=e"]) {
      assert.strictEqual((await person.call("GET", path)).status, 200, path)
    }
  })
})
