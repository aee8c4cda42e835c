import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { makeStreamProcesses, type StreamProcess, type StreamProcesses } from "../stream/StreamProcesses.ts"
import { openStream } from "../stream/SseClient.ts"
import { personAt, request } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { type LoggedIn, peopleAt } from "./People.ts"

let processes: StreamProcesses
let one: StreamProcess
let other: StreamProcess
let people: ReturnType<typeof peopleAt>
let ada: LoggedIn

beforeAll(async () => {
  processes = await makeStreamProcesses()
  ;[one, other] = await Promise.all([processes.start("api"), processes.start("api")])
  await processes.start("worker")
  people = peopleAt(one.url, processes.database)
  ada = await people.enter()
}, 120_000)
afterAll(() => processes.stop())

const newKey = async (): Promise<{ readonly id: string; readonly key: string }> =>
  (await ada.call("POST", "/user/keys", { name: "Two processes" })).body
const withKey = (url: string, key: string) => personAt(url, { mobile: ada.mobile, token: key, userId: ada.userId })
const statusAt = async (url: string, token: string) => (await request(url, "GET", "/models", { token })).status
const refusedEverywhere = (key: string) =>
  until("the key to be refused everywhere", async () => {
    const statuses = await Promise.all([statusAt(one.url, key), statusAt(other.url, key)])
    return statuses.every((status) => status === 401)
  })

describe("an API key at two processes", () => {
  it("works at a process that did not make it, and ends at both", { timeout: 60_000 }, async () => {
    for (const _ of times(10, () => 0)) {
      const { id, key } = await newKey()
      assert.deepEqual([await statusAt(one.url, key), await statusAt(other.url, key)], [200, 200])
      assert.strictEqual((await ada.call("DELETE", `/user/keys/${id}`)).status, 204)
      assert.strictEqual(await statusAt(one.url, key), 401)
      await refusedEverywhere(key)
    }
  })

  it("ends the streams that it has open at the other process, and no others", { timeout: 60_000 }, async () => {
    const [ended, kept] = [await newKey(), await newKey()]
    const room = await ada.room()
    const { body } = await ada.ask(room, "[[length 4000]] [[chunks 600 delay 100]] slow?")
    const place = { room, reply: String(body.reply.id) }
    const streams = await Promise.all([
      openStream(other.url, withKey(other.url, ended.key), place),
      openStream(other.url, withKey(other.url, kept.key), place),
      openStream(other.url, personAt(other.url, ada), place)
    ])
    assert.deepEqual(
      streams.map(({ status }) => status),
      [200, 200, 200]
    )
    for (const stream of streams) assert.isDefined(await stream.first(({ name }) => name === "delta" || name === "replace"))
    assert.strictEqual((await ada.call("DELETE", `/user/keys/${ended.id}`)).status, 204)
    assert.strictEqual(await streams[0]?.closed, "end")
    assert.strictEqual((await openStream(other.url, withKey(other.url, ended.key), place)).status, 401)
    assert.strictEqual((await openStream(other.url, withKey(other.url, kept.key), place)).status, 200)
    const left = Promise.race([streams[1]?.closed, streams[2]?.closed, Promise.resolve("open")])
    assert.strictEqual(await left, "open")
    await ada.call("POST", `/chatroom/${room}/message/${place.reply}/cancel`)
    for (const stream of streams.slice(1)) assert.strictEqual(await stream.closed, "end")
  })

  it("ends at both when the password is reset", { timeout: 60_000 }, async () => {
    const { key } = await newKey()
    assert.deepEqual([await statusAt(one.url, key), await statusAt(other.url, key)], [200, 200])
    const code = await people.code(ada.mobile, "reset_password")
    const newPassword = "a loom that weaves numbers"
    const reset = await people.post("/auth/reset-password", { mobile: ada.mobile, ...code, newPassword })
    assert.strictEqual(reset.status, 204, reset.text)
    await refusedEverywhere(key)
    ada = await people.enter(ada.mobile)
    assert.deepEqual((await ada.call("GET", "/user/keys")).body.data, [])
  })
})
