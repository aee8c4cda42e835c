import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { makeStreamProcesses, type StreamProcess, type StreamProcesses } from "../stream/StreamProcesses.ts"
import type { Person } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { read, roomWith, share, tokenOf } from "./sharing.ts"

let processes: StreamProcesses
let one: StreamProcess
let other: StreamProcess
let ada: Person

beforeAll(async () => {
  processes = await makeStreamProcesses()
  ;[one, other] = await Promise.all([processes.start("api"), processes.start("api")])
  await processes.start("worker")
  ada = await newUser(one.url, processes.database)
}, 120_000)
afterAll(() => processes.stop())

describe("a link at two processes", () => {
  it("is revoked at the other process when the revocation is answered", { timeout: 60_000 }, async () => {
    const room = await roomWith(ada, "[[say Here.]] ?")
    for (const _ of times(20, () => 0)) {
      const made = await share(ada, room)
      assert.strictEqual((await read(other.url, tokenOf(made))).status, 200)
      assert.strictEqual((await ada.call("DELETE", `/shares/${made.body.id}`)).status, 204)
      assert.strictEqual((await read(other.url, tokenOf(made))).status, 404)
    }
  })

  it("ends with its room at the other process", async () => {
    const room = await roomWith(ada, "[[say Here.]] ?")
    const token = tokenOf(await share(ada, room))
    assert.strictEqual((await read(other.url, token)).status, 200)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}`)).status, 204)
    assert.strictEqual((await read(other.url, token)).status, 404)
  })
})
