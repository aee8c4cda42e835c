import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let room: string

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({
    DATABASE_URL: database.url,
    ROLE: "api",
    TRUSTED_PROXIES: "127.0.0.1",
    ADMIN_TOKEN: "operator-of-the-tests",
    BILLING: "on",
    STRIPE_SECRET_KEY: "sk_test_x",
    STRIPE_PRO_PRICE_ID: "price_x",
    STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
    LOG_LEVEL: "none"
  })
  ada = await logIn(backend.url)
  room = await ada.room()
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const inProgress = async (activity: string) => {
  const { text } = await ada.call("GET", "/metrics", undefined, { authorization: "Bearer operator-of-the-tests" })
  return Number(new RegExp(`chat_requests_in_progress\\{activity="${activity}"\\} (\\d+)`).exec(text)?.[1])
}

interface Origin {
  readonly path: string
  readonly address: string
}
const dial = (text: string): Socket => {
  const socket = connect(Number(new URL(backend.url).port), "127.0.0.1", () => socket.write(text))
  socket.on("error", () => {})
  return socket
}
const head = (method: string, { address, path }: Origin, length: number, headers = "") =>
  `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\nx-forwarded-for: ${address}\r\n${headers}\r\n`

/** Keeps `count` connections open that sent one byte of a body; those that are closed are opened again. */
const flood = (count: number, origin: (index: number) => Origin) => {
  const sockets: Array<Socket> = []
  const open = (index: number) => {
    const socket = dial(`${head("POST", origin(index), 40)}{`)
    sockets[index] = socket
    socket.resume()
  }
  for (const index of times(count, (n) => n)) open(index)
  const reopening = setInterval(() => {
    for (const [index, socket] of sockets.entries()) if (socket.destroyed || socket.readableEnded) open(index)
  }, 250)
  return () => {
    clearInterval(reopening)
    for (const socket of sockets) socket.destroy()
  }
}

/** The status of a request whose body comes a while after its head. */
const statusOfLate = async (method: string, origin: Origin, body: string, headers = "", delay = 200) => {
  const socket = dial(head(method, origin, Buffer.byteLength(body), headers))
  let answer = ""
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  socket.on("data", (chunk) => (answer += String(chunk)))
  await sleep(delay)
  socket.write(body)
  await closed
  return Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1])
}

const rename = (address: string) =>
  statusOfLate(
    "PATCH",
    { path: `/chatroom/${room}`, address },
    JSON.stringify({ title: "Looms" }),
    `authorization: Bearer ${ada.token}\r\n`
  )
const deliver = () => statusOfLate("POST", { path: "/webhook/stripe", address: "198.51.100.200" }, "{}")

const statuses = async (count: number, send: () => Promise<number>) => {
  const found = await Promise.all(times(count, (n) => sleep(n * 100).then(send)))
  return [...new Set(found)]
}

let stop = () => {}
afterEach(async () => {
  stop()
  await until(
    "no body is unfinished",
    async () => (await inProgress("receiving")) + (await inProgress("receiving_webhook")) === 0
  )
})

describe("a flood of unfinished bodies", { timeout: 60_000 }, () => {
  it("from one address ends its own bodies and refuses no other client and no webhook", async () => {
    stop = flood(1_000, () => ({ path: "/auth/send-otp", address: "203.0.113.66" }))
    await until("bodies arrive", async () => (await inProgress("receiving")) >= 100)
    const [renamed, delivered] = await Promise.all([statuses(20, () => rename("198.51.100.7")), statuses(20, deliver)])
    assert.deepStrictEqual({ renamed, delivered }, { renamed: [200], delivered: [400] })
    assert.isAtMost(await inProgress("receiving"), 101)
  })

  it("at the webhook's path refuses no webhook and no client", async () => {
    stop = flood(1_000, () => ({ path: "/webhook/stripe", address: "203.0.113.66" }))
    await until("bodies arrive", async () => (await inProgress("receiving_webhook")) >= 100)
    const [renamed, delivered] = await Promise.all([statuses(20, () => rename("198.51.100.7")), statuses(20, deliver)])
    assert.deepStrictEqual({ renamed, delivered }, { renamed: [200], delivered: [400] })
  })

  it("from many addresses ends the bodies of those that have most", async () => {
    stop = flood(2_000, (index) => ({ path: "/auth/send-otp", address: `203.0.113.${index % 25}` }))
    await until("as many bodies arrive as may", async () => (await inProgress("receiving")) === 1_000)
    const [renamed, delivered] = await Promise.all([statuses(20, () => rename("198.51.100.7")), statuses(20, deliver)])
    assert.deepStrictEqual({ renamed, delivered }, { renamed: [200], delivered: [400] })
  })

  it("from a proxy that is not trusted lets a late body arrive", async () => {
    stop = flood(1_500, () => ({ path: "/auth/send-otp", address: "10.1.2.3" }))
    await until("as many bodies arrive as may", async () => (await inProgress("receiving")) === 1_000)
    assert.deepStrictEqual(await statuses(20, () => rename("10.1.2.3")), [200])
  })
})
