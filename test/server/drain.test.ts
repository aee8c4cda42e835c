import { once } from "node:events"
import { connect } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let gemini: GeminiSimulator
beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
})
afterAll(async () => {
  await gemini.stop()
  await database.drop()
})

describe("a draining process", () => {
  it("does not wait for connections that a proxy keeps open unused, with or without an earlier request", async () => {
    const leaving = await startProcess({ DATABASE_URL: database.url, ROLE: "api" })
    await leaving.started()
    const dial = async (text: string) => {
      const socket = connect({ port: Number(new URL(leaving.url).port), host: "127.0.0.1", allowHalfOpen: true })
      await once(socket, "connect")
      socket.on("error", () => {})
      if (text === "") return socket
      socket.write(text)
      await once(socket, "data")
      return socket.resume()
    }
    const sockets = await Promise.all(times(10, (n) => dial(n % 2 === 0 ? "" : "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")))
    const began = performance.now()
    assert.deepStrictEqual(await leaving.kill("SIGTERM"), { code: 0, signal: null })
    const took = performance.now() - began
    for (const socket of sockets) socket.destroy()
    // 15 seconds when it waits for them.
    assert.isBelow(took, 6_000)
  })

  it("ends streams, and does not wait for their connections, which proxies keep open", async () => {
    const settings = { DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url }
    const leaving = await startProcess({ ...settings, ROLE: "api" })
    const worker = await startProcess({ ...settings, ROLE: "worker" })
    try {
      await Promise.all([leaving.started(), worker.started()])
      const person = await logIn(leaving.url)
      const room = await person.room()
      const reply = (await person.ask(room, "[[hang]] a stream without an end")).body.reply.id
      const socket = connect({ port: Number(new URL(leaving.url).port), host: "127.0.0.1", allowHalfOpen: true })
      await once(socket, "connect")
      let received = ""
      socket.on("error", () => {}).on("data", (chunk) => (received += String(chunk)))
      const path = `/chatroom/${room}/message/${reply}/stream`
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${person.token}\r\n\r\n`)
      await until("the stream has begun", () => received.includes("text/event-stream"))
      const began = performance.now()
      assert.deepStrictEqual(await leaving.kill("SIGTERM"), { code: 0, signal: null })
      const took = performance.now() - began
      socket.destroy()
      assert.include(received, "\r\n0\r\n\r\n", "the stream has its end")
      // 15 seconds when it waits for the connection.
      assert.isBelow(took, 7_000)
    } finally {
      await worker.kill("SIGKILL")
    }
  })
})
