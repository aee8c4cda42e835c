import { once } from "node:events"
import { connect } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

/** Sends bytes unchanged and returns the response once the server has closed the connection. */
const send = async (base: string, bytes: string): Promise<{ status: number; head: string; body: Record<string, unknown> }> => {
  const socket = connect(Number(new URL(base).port), "127.0.0.1")
  let answer = ""
  socket.on("data", (chunk) => (answer += String(chunk)))
  socket.write(bytes)
  await once(socket, "close")
  const [head = "", body = ""] = answer.split("\r\n\r\n")
  return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), body: JSON.parse(body) }
}

describe("a request that is not valid HTTP", () => {
  let database: TestDatabase
  let backend: Awaited<ReturnType<typeof startBackend>>
  beforeAll(async () => {
    database = await createDatabase()
    backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
  })
  afterAll(async () => {
    await backend.stop()
    await database.drop()
  })

  it.each([
    {
      name: "with two Host headers",
      bytes: "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
      status: 400,
      code: "bad_request"
    },
    {
      name: "without a Host header",
      bytes: "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
      status: 400,
      code: "bad_request"
    },
    {
      name: "with another form of target",
      bytes: "GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      status: 404,
      code: "not_found"
    },
    { name: "of nonsense", bytes: "what is this\r\n\r\n", status: 400, code: "bad_request" },
    {
      name: "with headers past 16 KiB",
      bytes: `GET /healthz HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`,
      status: 431,
      code: "headers_too_large"
    }
  ])("is refused with a problem: $name", async ({ bytes, code, status }) => {
    const answer = await send(backend.url, bytes)
    assert.strictEqual(answer.status, status)
    assert.strictEqual(answer.body["code"], code)
    assert.strictEqual(answer.body["status"], status)
    assert.match(answer.head, /content-type: application\/problem\+json/)
    assert.match(answer.head, new RegExp(`x-request-id: ${String(answer.body["requestId"])}`))
  })

  it("is refused with 417 for an unknown expectation, its body unread", async () => {
    const answer = await send(backend.url, "GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nConnection: close\r\n\r\n")
    assert.strictEqual(answer.status, 417)
    assert.strictEqual(answer.body["code"], "expectation_failed")
  })
})
