import { createHmac, randomBytes } from "node:crypto"
import { EventSource } from "undici"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { request } from "../support/Client.ts"
import type { Place } from "../stream/SseClient.ts"
import { upload } from "../support/files.ts"
import { readEnded, sendQuestion } from "../support/messages.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { assertProblem, sidOf } from "./People.ts"
import type { Person } from "../support/Client.ts"

let backends: TestBackends
let first: string
let second: string

beforeAll(async () => {
  backends = await startTwoBackends()
  ;[first, second] = bothUrls(backends)
})
afterAll(() => backends.stop())

const streamOf = ({ reply, room }: Place) => `/chatroom/${room}/message/${reply}/stream`
const slow = "[[length 400]] [[chunks 100 delay 40]]"

/** The ticket's URL for the path. */
const ticketFor = async (person: Person, path: string): Promise<{ ticket: string; url: string; expiresAt: string }> => {
  const made = await person.call("POST", `${path}-ticket`)
  assert.strictEqual(made.status, 201, made.text)
  assert.deepStrictEqual(Object.keys(made.body), ["ticket", "expiresAt", "url"])
  assert.strictEqual(made.body.url, `${path}?ticket=${made.body.ticket}`)
  return made.body
}
const open = (base: string, url: string, headers: Record<string, string> = {}) => request(base, "GET", url, { headers })

/** A ticket as the server signs it, of another time. */
const ticketOfAge = (person: Person, path: string, seconds: number) => {
  const issued = Math.floor(Date.now() / 1000) - seconds
  const body = `${person.userId}.${sidOf(person.token)}.${issued}.${randomBytes(12).toString("base64url")}`
  const mac = createHmac("sha256", "0123456789abcdef0123456789ABCDEF").update(`ticket\u0000${body} ${path}`).digest("base64url")
  return `${path}?ticket=${Buffer.from(body).toString("base64url")}.${mac}`
}
/** As EventSource sends it when it reconnects. */
const reconnecting = { "last-event-id": "1:3" }

describe("a stream ticket", () => {
  it("opens its stream once, in any process, without a token", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const { expiresAt, url } = await ticketFor(ada, streamOf(place))
    assert.approximately(Date.parse(expiresAt), Date.now() + 60_000, 30_000)
    const opened = await open(second, url)
    assert.strictEqual(opened.status, 200, opened.text)
    assert.include(opened.text, "Looms.")
    for (const base of [first, second]) {
      const again = await open(base, url)
      assertProblem(again, 401, "token_expired")
      assert.strictEqual(again.body.detail, "The ticket was used before")
    }
  })

  it("opens one of two simultaneous requests", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const { url } = await ticketFor(ada, streamOf(place))
    const all = await Promise.all([first, second, first, second].map((base) => open(base, url)))
    assert.deepStrictEqual(all.map(({ status }) => status).sort(), [200, 401, 401, 401])
  })

  it("carries a browser's EventSource over a lost connection", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, slow)
    const { url } = await ticketFor(ada, streamOf(place))
    const proxy = await TcpProxy.start(first)
    const source = new EventSource(new URL(url, proxy.through(first)).href)
    let text = ""
    let ended = ""
    let opened = 0
    source.addEventListener("open", () => opened++)
    const dataOf = (event: Event) => JSON.parse(String("data" in event ? event.data : ""))
    source.addEventListener("delta", (event) => (text += dataOf(event).text))
    source.addEventListener("completed", (event) => (ended = dataOf(event).content))
    await until("some text", () => text.length > 20)
    proxy.cut()
    proxy.restore()
    await until("the end", () => ended !== "")
    source.close()
    await proxy.stop()
    assert.strictEqual(opened, 2)
    assert.lengthOf(ended, 400)
    assert.strictEqual(text, ended)
  })

  it("is accepted again with Last-Event-ID for ten minutes from its creation", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const path = streamOf(place)
    const opened = ticketOfAge(ada, path, 30)
    assert.strictEqual((await open(first, opened)).status, 200)
    assert.strictEqual((await open(second, opened, reconnecting)).status, 200)
    assert.strictEqual((await open(first, opened, reconnecting)).status, 200)
    assertProblem(await open(first, opened), 401, "token_expired")
    // Never opened in its first minute, so there is nothing to reconnect to.
    assertProblem(await open(first, ticketOfAge(ada, path, 70), reconnecting), 401, "token_expired")
    assertProblem(await open(first, ticketOfAge(ada, path, 620), reconnecting), 401, "token_expired")
    assertProblem(await open(first, ticketOfAge(ada, path, 70)), 401, "token_expired")
    assertProblem(await open(first, ticketOfAge(ada, path, -70)), 401, "token_invalid")
  })

  it("ends with its session, at the opening and at a reconnect", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const [used, unused] = [await ticketFor(ada, streamOf(place)), await ticketFor(ada, streamOf(place))]
    assert.strictEqual((await open(first, used.url)).status, 200)
    assert.strictEqual((await ada.call("POST", "/auth/logout", {})).status, 204)
    assertProblem(await open(first, used.url, reconnecting), 401, "session_revoked")
    assertProblem(await open(first, unused.url), 401, "session_revoked")
  })

  it("opens no other path, and nothing after a change", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    const other = await sendQuestion(ada, "[[say Threads.]]", place.room)
    await readEnded(ada, other)
    const { ticket, url } = await ticketFor(ada, streamOf(place))
    for (const path of [streamOf(other), `${streamOf(place)}/`, `/chatroom/${place.room}/export`, "/user/me/export"]) {
      assertProblem(await open(first, `${path}?ticket=${ticket}`), 401, "token_invalid")
    }
    assertProblem(await open(first, `/user/me?ticket=${ticket}`), 401, "unauthenticated")
    assertProblem(await open(first, `/chatroom/${place.room}/messages?ticket=${ticket}`), 401, "unauthenticated")
    const last = ticket.at(-1) === "A" ? "B" : "A"
    for (const changed of [ticket.slice(0, -1), `${ticket.slice(0, -2)}${last}${last}`, `${ticket}.x`, "", "x"]) {
      assertProblem(await open(first, `${streamOf(place)}?ticket=${changed}`), 401, "token_invalid")
    }
    // None of these used it up.
    assert.strictEqual((await open(first, url)).status, 200)
  })

  it("is not used up beside an access token", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const { url } = await ticketFor(ada, streamOf(place))
    assert.strictEqual((await ada.call("GET", url)).status, 200)
    assertProblem(await request(first, "GET", url, { token: "forged" }), 401, "token_invalid")
    assert.strictEqual((await open(first, url)).status, 200)
  })

  it("is created 300 times an hour", async () => {
    const ada = await backends.newUser()
    const path = "/user/me/export-ticket"
    await backends.database.query(
      "insert into throttles (key, tat) values ('tickets:' || $1, now() + interval '59 minutes 54 seconds')",
      [ada.userId]
    )
    assertProblem(await ada.call("POST", path), 429, "too_many_attempts")
  })
})

describe("an export ticket", () => {
  it("downloads a room once, with the parameters that follow it", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say Looms.]]")
    await readEnded(ada, place)
    const { url } = await ticketFor(ada, `/chatroom/${place.room}/export`)
    const file = await open(first, `${url}&format=markdown`)
    assert.strictEqual(file.status, 200, file.text)
    assert.include(file.headers.get("content-disposition") ?? "", "chatroom.md")
    assert.include(file.text, "Looms.")
    assert.strictEqual(file.headers.get("cache-control"), "private, no-store")
    assertProblem(await open(second, url), 401, "token_expired")
    assertProblem(await open(second, url, reconnecting), 401, "token_expired")
  })

  it("downloads the account once", async () => {
    const ada = await backends.newUser()
    const { url } = await ticketFor(ada, "/user/me/export")
    const file = await open(first, url)
    assert.strictEqual(file.status, 200, file.text)
    assert.strictEqual(file.body.user.id, ada.userId)
    assertProblem(await open(first, url), 401, "token_expired")
  })
})

describe("a file ticket", () => {
  it("downloads its file once, as an attachment, and no other", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const fileOf = async (text: string) => String((await upload(first, ada, "text/plain", Buffer.from(text))).body.id)
    const [id, other] = [await fileOf("Looms."), await fileOf("Threads.")]
    const { ticket, url } = await ticketFor(ada, `/files/${id}/content`)
    assertProblem(await open(first, `/files/${other}/content?ticket=${ticket}`), 401, "token_invalid")
    assertProblem(await open(first, `/files/${id}?ticket=${ticket}`), 401, "unauthenticated")
    const file = await open(second, url)
    assert.deepStrictEqual([file.status, file.text], [200, "Looms."])
    assert.match(file.headers.get("content-disposition") ?? "", /^attachment/)
    assertProblem(await open(first, url), 401, "token_expired")
    assertProblem(await bob.call("POST", `/files/${id}/content-ticket`), 404, "file_not_found")
  })

  it("is 404 for a file that was deleted since", async () => {
    const ada = await backends.newUser()
    const { id } = (await upload(first, ada, "text/plain", Buffer.from("Gone."))).body
    const { url } = await ticketFor(ada, `/files/${id}/content`)
    await ada.call("DELETE", `/files/${id}`)
    assertProblem(await open(first, url), 404, "file_not_found")
  })
})
