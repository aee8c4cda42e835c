import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const operator = { authorization: "Bearer operator-of-the-tests" }

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startProcess>>
let ada: Person
let bob: Person
let room: string

beforeAll(async () => {
  database = await createDatabase()
  backend = await startProcess({ DATABASE_URL: database.url, ROLE: "api", ADMIN_TOKEN: "operator-of-the-tests" })
  await backend.started()
  ada = await logIn(backend.url)
  bob = await logIn(backend.url)
  room = await ada.room()
  const long = { messages: 100, characters: 32_000 }
  await database.query(
    `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
      select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2, case when n % 2 = 0 then 'user' else 'model' end,
        repeat('語', $4), 'completed', now(), now() from generate_series(0, $3 - 1) n`,
    [ada.userId, room, long.messages, long.characters]
  )
})
afterAll(async () => {
  await backend.kill("SIGKILL")
  await database.drop()
})

const metric = async (name: string) => {
  const { text } = await bob.call("GET", "/metrics", undefined, operator)
  return Number(
    text
      .split("\n")
      .find((line) => line.startsWith(`${name} `))
      ?.split(" ")
      .at(-1)
  )
}
const writing = () => metric('chat_requests_in_progress{activity="writing"}')

/** Bytes that the kernel's buffers of a connection may take in. */
const kernelBytes = 8_000_000

/** A connection that asks for `count` responses and reads nothing. */
const ask = (path: string, count: number, token = ""): Socket => {
  const head = `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`
  const socket = connect(Number(new URL(backend.url).port), "127.0.0.1", () => socket.write(head.repeat(count)))
  socket.on("error", () => {})
  return socket.pause()
}
/** Reads until the connection has ended or `length` bytes are there. */
const read = async (socket: Socket, length: number): Promise<number> => {
  let received = 0
  socket.on("data", (chunk: Buffer) => {
    received += chunk.length
    if (received >= length) socket.destroy()
  })
  socket.resume()
  if (!socket.closed) await once(socket, "close")
  return received
}

const lengthOf = async (path: string, headers: Record<string, string> = {}) =>
  (await (await fetch(backend.url + path, { headers: { "accept-encoding": "identity", ...headers } })).arrayBuffer()).byteLength
/** The reference page, as many times as the kernel cannot take in. */
const pages = async () => {
  const length = await lengthOf("/docs")
  const count = Math.ceil(kernelBytes / length) + 1
  return { count, length: count * length }
}

describe("clients that read slowly", { timeout: 150_000 }, () => {
  it("hold at most 64 MiB of unread responses together", async () => {
    const path = `/chatroom/${room}/messages?limit=100`
    const length = await lengthOf(path, { authorization: `Bearer ${ada.token}` })
    const before = await metric("process_resident_memory_bytes")
    const sockets = times(80, () => ask(path, Math.ceil(kernelBytes / length), ada.token))
    const isMade = async () => (await metric('chat_requests_in_progress{activity="working"}')) === 0 && (await writing()) > 0
    await until("all responses are made", isMade, { seconds: 60 })
    const held = await writing()
    const more = (await metric("process_resident_memory_bytes")) - before
    assert.strictEqual((await bob.call("POST", "/chatroom", {})).status, 201)
    for (const socket of sockets) socket.destroy()
    await until("nothing is being written", async () => (await writing()) === 0)
    process.stdout.write(`80 connections with unread pages: ${held} pages kept, ${Math.round(more / 2 ** 20)} MiB more\n`)
    assert.isAtMost(held, (64 * 2 ** 20) / length)
  })

  it.concurrent("lose their connections when they take nothing for 30 seconds", async () => {
    const began = performance.now()
    const { count, length } = await pages()
    const sockets = times(2, () => ask("/docs", count))
    // A byte at a time makes no room for a piece.
    const reading = setInterval(() => sockets[0]?.read(1), 5_000)
    await until("responses are being written", async () => (await writing()) >= 2)
    await until("the server has closed both", async () => (await writing()) === 0, { seconds: 60 })
    clearInterval(reading)
    const took = performance.now() - began
    assert.isAtLeast(took, 29_000)
    assert.isBelow(took, 60_000)
    for (const socket of sockets) assert.isBelow(await read(socket, length), length)
  })

  it.concurrent("get the whole response as long as they take some of it", async () => {
    const { count, length } = await pages()
    const socket = ask("/docs", count)
    const began = performance.now()
    let received = 0
    // Longer than a client may take nothing; the last response of the connection waits all the while.
    while (performance.now() - began < 40_000) {
      const chunk: unknown = socket.read()
      if (chunk instanceof Buffer) received += chunk.length
      await sleep(1_000)
    }
    assert.isBelow(received, length, "the client read too fast")
    assert.isAtLeast(received + (await read(socket, length - received)), length)
  })
})
