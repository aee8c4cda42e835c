import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import { type Place, placeOf, readAll } from "../stream/SseClient.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { atEveryBackend, bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { unknownId } from "../support/responses.ts"
import { sendQuestion, readEnded, readMessage, uniquePrompt, usedToday } from "../support/messages.ts"

const again = (person: Person, { reply, room }: Place, key?: string): Promise<Reply> =>
  person.call(
    "POST",
    `/chatroom/${room}/message/${reply}/regenerate`,
    undefined,
    key === undefined ? {} : { "idempotency-key": key }
  )

describe("regenerating a reply", () => {
  let backends: TestBackends
  let apiUrl: string

  beforeAll(async () => {
    backends = await startTwoBackends({ BASIC_DAILY_PROMPTS: "20" })
    ;[apiUrl] = bothUrls(backends)
  })
  afterAll(() => backends.stop())

  it("returns 202 as a question does, takes quota, and keeps the old reply", async () => {
    const ada = await backends.newUser()
    const name = uniquePrompt("Again, please.")
    const old = await sendQuestion(ada, `${name} [[length 60]]`)
    const before = await readEnded(ada, old)
    const sent = await again(ada, old)
    assert.strictEqual(sent.status, 202)
    assert.strictEqual(sent.headers.get("location"), `/chatroom/${old.room}/message/${sent.body.reply.id}`)
    assert.strictEqual(sent.headers.get("retry-after"), "1")
    assert.match(sent.headers.get("ratelimit") ?? "", /r=18/)
    assert.strictEqual(sent.body.quota.used, 2)
    assert.strictEqual(sent.body.message.id, before.replyTo)
    assert.include(sent.body.message.content, name)
    assert.strictEqual(sent.body.reply.replyTo, before.replyTo)
    assert.strictEqual(sent.body.reply.status, "queued")

    const fresh = placeOf(sent)
    assert.notStrictEqual(fresh.reply, old.reply)
    const stream = await readAll(apiUrl, ada, fresh)
    const after = await readEnded(ada, fresh)
    assert.strictEqual(after.status, "completed")
    assert.strictEqual(stream.text(), after.content)
    assert.isNull(after.supersededBy)
    assert.deepStrictEqual((await readMessage(ada, old)).body, {
      ...before,
      supersededBy: fresh.reply,
      versions: { index: 1, count: 2, previous: null, next: fresh.reply }
    })
    assert.deepStrictEqual(after.versions, { index: 2, count: 2, previous: old.reply, next: null })
    assert.deepStrictEqual(sent.body.reply.versions, after.versions)
    assert.strictEqual((await ada.call("GET", `/chatroom/${old.room}`)).body.headId, fresh.reply)
    assert.strictEqual((await readAll(apiUrl, ada, old)).text(), before.content)
    assert.strictEqual(await usedToday(ada), 2)
    assert.strictEqual(callsAbout(backends, name).length, 2)
    const { body } = await ada.call("GET", `/chatroom/${old.room}/messages`)
    assert.deepStrictEqual(
      body.data.map(({ id }: { id: string }) => id),
      [fresh.reply, old.reply, before.replyTo]
    )
    assert.strictEqual((await ada.call("GET", `/chatroom/${old.room}/latest`)).body.reply.id, fresh.reply)
  })

  it("works on any reply of a question and on the question; each reply points to the next", async () => {
    const ada = await backends.newUser()
    const first = await sendQuestion(ada, "[[say one]]")
    const question = (await readEnded(ada, first)).replyTo
    const second = placeOf(await again(ada, first))
    await readEnded(ada, second)
    const third = placeOf(await again(ada, first))
    await readEnded(ada, third)
    const fourth = placeOf(await again(ada, { ...first, reply: question }))
    await readEnded(ada, fourth)
    const chain = await Promise.all(
      [first, second, third, fourth].map(async (place) => (await readMessage(ada, place)).body.supersededBy)
    )
    assert.deepStrictEqual(chain, [second.reply, third.reply, fourth.reply, null])
    assert.strictEqual(await usedToday(ada), 4)
  })

  it("sends the history before the question, without superseded replies", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const name = uniquePrompt("second question")
    const first = await sendQuestion(ada, "[[say old answer]] first question", room)
    await readEnded(ada, first)
    const second = await sendQuestion(ada, `[[say second answer]] ${name}`, room)
    await readEnded(ada, second)
    const third = await sendQuestion(ada, "[[say third answer]] third question", room)
    await readEnded(ada, third)
    assert.strictEqual((await readEnded(ada, placeOf(await again(ada, first)))).status, "completed")
    await readEnded(ada, placeOf(await again(ada, second)))
    const turns = turnsOf(callsAbout(backends, name).at(-1))
    assert.deepStrictEqual(turns, [
      "user: [[say old answer]] first question",
      "model: old answer",
      `user: [[say second answer]] ${name}`
    ])
  })

  it("puts the newest completed reply into the history, also after a failed one", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const topic = uniquePrompt("topic")
    const first = await sendQuestion(ada, `[[length 40]] ${topic}`, room)
    const original = (await readEnded(ada, first)).content
    backends.gemini.addFault({ match: topic, times: 1, fault: { kind: "blocked" } })
    const blocked = placeOf(await again(ada, first))
    assert.strictEqual((await readEnded(ada, blocked)).error.code, "blocked")
    const later = uniquePrompt("later")
    await readEnded(ada, await sendQuestion(ada, later, room))
    assert.deepStrictEqual(turnsOf(callsAbout(backends, later).at(-1)), [
      `user: [[length 40]] ${topic}`,
      `model: ${original}`,
      `user: ${later}`
    ])

    backends.gemini.addFault({ match: topic, times: 1, fault: { kind: "finish", reason: "MAX_TOKENS", after: 1 } })
    const shorter = (await readEnded(ada, placeOf(await again(ada, blocked)))).content
    assert.notStrictEqual(shorter, original)
    const last = uniquePrompt("last")
    await readEnded(ada, await sendQuestion(ada, last, room))
    assert.deepStrictEqual(turnsOf(callsAbout(backends, last).at(-1)).slice(0, 2), [
      `user: [[length 40]] ${topic}`,
      `model: ${shorter}`
    ])
  })

  it("is replayed by its idempotency key on any process, and takes quota once", async () => {
    const ada = await backends.newUser()
    const [here, there] = atEveryBackend(backends, ada)
    assert.isDefined(here)
    assert.isDefined(there)
    const old = await sendQuestion(ada, "[[say x]]")
    await readEnded(ada, old)
    const sent = await again(here, old, "again-1")
    const replayed = await again(there, old, "again-1")
    assert.strictEqual(replayed.status, 202)
    assert.strictEqual(replayed.headers.get("idempotent-replayed"), "true")
    assert.isNull(sent.headers.get("idempotent-replayed"))
    assert.deepStrictEqual(replayed.body, sent.body)
    await readEnded(ada, placeOf(sent))
    assert.deepStrictEqual((await again(here, old, "again-1")).body, sent.body)
    assert.strictEqual(await usedToday(ada), 2)
    const other = await sendQuestion(ada, "[[say y]]")
    await readEnded(ada, other)
    const reused = await again(here, other, "again-1")
    assert.strictEqual(reused.status, 422)
    assert.strictEqual(reused.body.code, "idempotency_key_reused")
    assert.strictEqual(await usedToday(ada), 3)
  })

  it("makes one reply for twenty parallel requests with one key", async () => {
    const ada = await backends.newUser()
    const bothUrls = atEveryBackend(backends, ada)
    const old = await sendQuestion(ada, "[[say x]]")
    await readEnded(ada, old)
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => again(bothUrls[index % 2] ?? ada, old, "once")))
    assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [202])
    assert.strictEqual(new Set(answers.map(({ body }) => body.reply.id)).size, 1)
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("is 409 not_finished while the newest reply is unfinished, and takes no quota", async () => {
    const ada = await backends.newUser()
    const old = await sendQuestion(ada, "[[length 400]] [[chunks 20 delay 30]]")
    for (let round = 0; round < 2; round++) {
      const early = await again(ada, old)
      assert.strictEqual(early.status, 409)
      assert.strictEqual(early.body.code, "not_finished")
    }
    await readEnded(ada, old)
    const fresh = placeOf(await again(ada, old))
    assert.strictEqual((await again(ada, old)).body.code, "not_finished")
    assert.strictEqual((await again(ada, fresh)).body.code, "not_finished")
    assert.strictEqual((await readEnded(ada, fresh)).status, "completed")
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("makes one reply at a time for parallel requests without a key", async () => {
    const ada = await backends.newUser()
    const two = atEveryBackend(backends, ada)
    const old = await sendQuestion(ada, "[[say x]]")
    await readEnded(ada, old)
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => again(two[index % 2] ?? ada, old)))
    const accepted = answers.filter(({ status }) => status === 202)
    // Several in succession are allowed, each after the previous one has ended.
    assert.isAtLeast(accepted.length, 1)
    for (const { body, status } of answers) if (status !== 202) assert.strictEqual(body.code, "not_finished")
    assert.strictEqual(await usedToday(ada), 1 + accepted.length)
    for (const sent of accepted) await readEnded(ada, placeOf(sent))
  })

  it("works on failed and cancelled replies", async () => {
    const ada = await backends.newUser()
    const failed = await sendQuestion(ada, uniquePrompt("[[finish SAFETY 0 times 1]] [[say fine now]]"))
    assert.strictEqual((await readEnded(ada, failed)).status, "failed")
    const better = placeOf(await again(ada, failed))
    assert.strictEqual((await readEnded(ada, better)).content, "fine now")
    const cancelled = await sendQuestion(ada, "[[latency 2000]] [[say late]]")
    await ada.call("POST", `/chatroom/${cancelled.room}/message/${cancelled.reply}/cancel`)
    assert.strictEqual((await readEnded(ada, placeOf(await again(ada, cancelled)))).content, "late")
  })

  it("is 404 for an unknown message and another user's", async () => {
    const [ada, bob] = await backends.newUsers(2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const place = await sendQuestion(ada, "[[say x]]")
    await readEnded(ada, place)
    const other = await sendQuestion(ada, "[[say y]]")
    await readEnded(ada, other)
    assert.strictEqual((await again(bob, place)).body.code, "chatroom_not_found")
    assert.strictEqual((await again(ada, { ...place, reply: unknownId })).body.code, "message_not_found")
    assert.strictEqual((await again(ada, { ...place, room: unknownId })).body.code, "chatroom_not_found")
    assert.strictEqual((await again(ada, { ...place, room: other.room })).body.code, "message_not_found")
    assert.strictEqual(await usedToday(bob), 0)
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("is rejected when the day's quota is used up, and leaves the old reply unmarked", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[say x]]")
    await readEnded(ada, place)
    await backends.database.query(
      "update usage_daily d set used = 20 from users u where u.quota_key = d.quota_key and u.id = $1",
      [ada.userId]
    )
    const refused = await again(ada, place)
    assert.strictEqual(refused.status, 429)
    assert.strictEqual(refused.body.code, "quota_exceeded")
    assert.isNull((await readMessage(ada, place)).body.supersededBy)
  })
})
