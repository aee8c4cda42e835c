import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, type Reply, request } from "../support/Client.ts"
import { readEnded, sendQuestion } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

let backends: TestBackends
let plain: TestBackends

beforeAll(async () => {
  backends = await startBackends({ ADMIN_TOKEN: "an-operator's-token", BASIC_DAILY_PROMPTS: "100", LOG_LEVEL: "none" })
  plain = await startBackends({ ROLE: "api", LOG_LEVEL: "none" })
})
afterAll(async () => {
  await backends.stop()
  await plain.stop()
})

const answered = async (person: Person) => {
  const place = await sendQuestion(person, "[[say Rate me.]]")
  return { ...place, ended: await readEnded(person, place) }
}
type Place = Awaited<ReturnType<typeof answered>>

const rate = (person: Person, { reply, room }: Pick<Place, "reply" | "room">, body: unknown): Promise<Reply> =>
  person.call("PUT", `/chatroom/${room}/message/${reply}/feedback`, body)
const operator = (path: string, token = "an-operator's-token") => request(backends.urls[0] ?? "", "GET", path, { token })
const feedbackOf = async (person: Person, { reply, room }: Place) =>
  (await person.call("GET", `/chatroom/${room}/message/${reply}`)).body.feedback

const counted = async (rating: string): Promise<number> => {
  const { text } = await operator("/metrics")
  const series = `chat_feedback_total{rating="${rating}",model="gemini-3.8-flash"} `
  const line = text.split("\n").find((each) => each.startsWith(series))
  return line === undefined ? 0 : Number(line.slice(series.length))
}

describe("PUT feedback", () => {
  it("returns the reply with the feedback, replaces it, and removes it", async () => {
    const ada = await backends.newUser()
    const place = await answered(ada)
    assert.isNull(place.ended.feedback)
    const before = [await counted("up"), await counted("down")]
    const full = { rating: "down", reasons: ["wrong", "too long"], comment: "No loom.\nReally." }
    const given = await rate(ada, place, full)
    assert.deepEqual([given.status, given.body], [200, { ...place.ended, feedback: full }])
    assert.deepEqual((await rate(ada, place, full)).body.feedback, full)
    assert.deepEqual(await feedbackOf(ada, place), full)
    assert.deepEqual((await rate(ada, place, { rating: "up" })).body.feedback, { rating: "up", reasons: [], comment: null })
    const removed = await rate(ada, place, { rating: null, comment: "ignored" })
    assert.deepEqual([removed.status, removed.body], [200, place.ended])
    assert.deepEqual([(await counted("up")) - (before[0] ?? 0), (await counted("down")) - (before[1] ?? 0)], [1, 1])
  })

  it("takes five reasons of 100 characters and a comment of 1,000, and not more", async () => {
    const ada = await backends.newUser()
    const place = await answered(ada)
    const [reason, comment] = ["😀".repeat(100), "é".repeat(1_000)]
    const largest = { rating: "up", reasons: Array(5).fill(reason), comment }
    assert.deepEqual((await rate(ada, place, largest)).body.feedback, largest)
    for (const [wrong, path] of [
      [{}, "rating"],
      [{ rating: "sideways" }, "rating"],
      [{ rating: 1 }, "rating"],
      [{ ...largest, reasons: Array(6).fill("a") }, "reasons"],
      [{ ...largest, reasons: [`${reason}a`] }, "reasons.0"],
      [{ ...largest, reasons: [""] }, "reasons.0"],
      [{ ...largest, comment: `${comment}a` }, "comment"],
      [{ ...largest, comment: "a\u0000b" }, "comment"]
    ] as const) {
      const refused = await rate(ada, place, wrong)
      assert.strictEqual(refused.status, 400, JSON.stringify(wrong).slice(0, 50))
      assert.include(JSON.stringify(refused.body.errors), path.split(".")[0] ?? "")
    }
    assert.deepEqual(await feedbackOf(ada, place), largest)
  })

  it("is 409 for a question, and 404 for another user's reply, an unknown one, and another room", async () => {
    const [ada, mallory] = [await backends.newUser(), await backends.newUser()]
    const place = await answered(ada)
    const up = { rating: "up" }
    const question = await rate(ada, { ...place, reply: place.ended.replyTo }, up)
    assert.deepEqual([question.status, question.body.code], [409, "not_a_reply"])
    const code = async (reply: Promise<Reply>) => (await reply).body.code
    assert.strictEqual(await code(rate(mallory, place, up)), "chatroom_not_found")
    assert.strictEqual(await code(rate(ada, { ...place, reply: place.room }, up)), "message_not_found")
    assert.strictEqual(await code(rate(ada, { ...place, room: await ada.room() }, up)), "message_not_found")
    assert.isNull(await feedbackOf(ada, place))
  })

  it("keeps one of many at once", async () => {
    const ada = await backends.newUser()
    const place = await answered(ada)
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => rate(ada, place, { rating: "up", comment: `n ${n}` })))
    assert.isTrue(all.every(({ status }) => status === 200))
    assert.match((await feedbackOf(ada, place)).comment, /^n \d+$/)
  })

  it("is in the exports, and in the list and the room", async () => {
    const ada = await backends.newUser()
    const place = await answered(ada)
    await rate(ada, place, { rating: "up", comment: "Well woven." })
    for (const path of [
      `/chatroom/${place.room}`,
      `/chatroom/${place.room}/messages`,
      `/chatroom/${place.room}/export`,
      "/user/me/export"
    ]) {
      assert.include((await ada.call("GET", path)).text, '"comment":"Well woven."', path)
    }
  })
})

describe("GET /admin/feedback", () => {
  it("lists the newest first, by cursor, without texts, and without what was deleted", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const places: Array<Place> = []
    for (const person of [ada, ada, bob, bob, bob]) {
      const place = await answered(person)
      places.push(place)
      await rate(person, place, { rating: "down", reasons: ["wrong"], comment: `about ${place.reply}` })
    }
    const pages: Array<Reply["body"]> = []
    let path = "/admin/feedback?limit=2"
    while (pages.length < 3) {
      const page = await operator(path)
      assert.strictEqual(page.status, 200, page.text)
      pages.push(page.body)
      assert.include(page.headers.get("link"), encodeURIComponent(page.body.nextCursor))
      path = `/admin/feedback?limit=2&cursor=${page.body.nextCursor}`
    }
    const listed = pages.flatMap(({ data }) => data)
    assert.deepEqual(
      listed.slice(0, 5).map(({ messageId }) => messageId),
      places.map(({ reply }) => reply).toReversed()
    )
    assert.hasAllKeys(listed[0], ["messageId", "chatroomId", "userId", "model", "rating", "reasons", "comment", "at"])
    assert.deepInclude(listed[0], { userId: bob.userId, model: "gemini-3.8-flash", rating: "down", reasons: ["wrong"] })
    assert.notInclude(JSON.stringify(pages), "Rate me")

    await bob.call("DELETE", `/chatroom/${places[4]?.room}`)
    const after = await operator("/admin/feedback?limit=1")
    assert.strictEqual(after.body.data[0].messageId, places[3]?.reply)
  })

  it("is 401 with another token, 404 without ADMIN_TOKEN, and 400 for a foreign cursor", async () => {
    assert.strictEqual((await operator("/admin/feedback", "wrong")).status, 401)
    assert.strictEqual(
      (await request(plain.urls[0] ?? "", "GET", "/admin/feedback", { token: "an-operator's-token" })).status,
      404
    )
    assert.strictEqual((await operator("/admin/feedback?cursor=a.b")).status, 400)
    assert.strictEqual((await operator("/admin/feedback?limit=101")).status, 400)
  })
})
