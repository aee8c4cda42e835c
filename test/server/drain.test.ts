import { once } from "node:events"
import { connect } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"

let database: TestDatabase
beforeAll(async () => (database = await createDatabase()))
afterAll(() => database.drop())

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
})
