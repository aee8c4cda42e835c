import { once } from "node:events"
import { createServer, type Server } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { DatabaseEndpoint } from "../../src/config/DatabaseUrl.ts"
import { postgresSockets } from "../../src/database/PostgresSocket.ts"

const questions = 200
const large = Buffer.alloc(100)

let server: Server
let port: number

/** Declines TLS, and answers each question, which comes in two packets, with one byte. */
beforeAll(async () => {
  server = createServer((socket) => {
    let received = 0
    let isAgreed = false
    socket.on("data", (chunk) => {
      if (!isAgreed && chunk.length === 8) {
        isAgreed = true
        return void socket.write("N")
      }
      isAgreed = true
      received += chunk.length
      for (; received >= 2 * large.length; received -= 2 * large.length) socket.write("x")
    })
    socket.on("error", () => {})
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  port = typeof address === "object" && address !== null ? address.port : 0
})
afterAll(() => server.close())

describe("a connection to Postgres", () => {
  it.each(["off", "preferred"] as const)("sends a small packet without waiting for an acknowledgement: TLS %s", async (tls) => {
    const endpoint: DatabaseEndpoint = {
      setting: "DATABASE_URL",
      host: "127.0.0.1",
      port,
      database: "",
      username: "",
      password: undefined,
      options: undefined,
      tls,
      handshake: {}
    }
    const socket = postgresSockets(endpoint, 60_000)()
    socket.resume()
    const millis: Array<number> = []
    for (let question = 0; question < questions; question++) {
      const begun = performance.now()
      socket.write(large)
      await sleep(1)
      socket.write(large)
      await once(socket, "data")
      millis.push(performance.now() - begun)
    }
    socket.destroy()
    const slow = millis.filter((time) => time > 35).length
    // With Nagle's algorithm it is most of them: the kernel acknowledges after 40 ms.
    assert.isBelow(slow, questions / 4)
  })
})
