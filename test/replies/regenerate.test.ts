import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { callsAbout, everywhere, nobodysId, turnsOf, usedToday, type World } from "../chat/World.ts"
import type { Person, Reply } from "../support/Client.ts"
import { asked, both, endOf, messageAt, startTwo, unique } from "../stream/Scenes.ts"
import { type Place, placeOf, readAll } from "../stream/SseClient.ts"

const again = (person: Person, { reply, room }: Place, key?: string): Promise<Reply> =>
  person.call(
    "POST",
    `/chatroom/${room}/message/${reply}/regenerate`,
    undefined,
    key === undefined ? {} : { "idempotency-key": key }
  )

describe("regenerating a reply", () => {
  let world: World
  let apiUrl: string

  beforeAll(async () => {
    world = await startTwo({ BASIC_DAILY_PROMPTS: "20" })
    ;[apiUrl] = both(world)
  })
  afterAll(() => world.stop())

  it("returns 202 as a question does, takes quota, and keeps the old reply", async () => {
    const ada = await world.newUser()
    const name = unique("Again, please.")
    const old = await asked(ada, `${name} [[length 60]]`)
    const before = await endOf(ada, old)
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
    const after = await endOf(ada, fresh)
    assert.strictEqual(after.status, "completed")
    assert.strictEqual(stream.text(), after.content)
    assert.isNull(after.supersededBy)
    assert.deepStrictEqual((await messageAt(ada, old)).body, { ...before, supersededBy: fresh.reply })
    assert.strictEqual((await readAll(apiUrl, ada, old)).text(), before.content)
    assert.strictEqual(await usedToday(ada), 2)
    assert.strictEqual(callsAbout(world, name).length, 2)
    const { body } = await ada.call("GET", `/chatroom/${old.room}/messages`)
    assert.deepStrictEqual(
      body.data.map(({ id }: { id: string }) => id),
      [fresh.reply, old.reply, before.replyTo]
    )
    assert.strictEqual((await ada.call("GET", `/chatroom/${old.room}/latest`)).body.reply.id, fresh.reply)
  })

  it("works on any reply of a question and on the question; each reply points to the next", async () => {
    const ada = await world.newUser()
    const first = await asked(ada, "[[say one]]")
    const question = (await endOf(ada, first)).replyTo
    const second = placeOf(await again(ada, first))
    await endOf(ada, second)
    const third = placeOf(await again(ada, first))
    await endOf(ada, third)
    const fourth = placeOf(await again(ada, { ...first, reply: question }))
    await endOf(ada, fourth)
    const chain = await Promise.all(
      [first, second, third, fourth].map(async (place) => (await messageAt(ada, place)).body.supersededBy)
    )
    assert.deepStrictEqual(chain, [second.reply, third.reply, fourth.reply, null])
    assert.strictEqual(await usedToday(ada), 4)
  })

  it("sends the history before the question, without superseded replies", async () => {
    const ada = await world.newUser()
    const room = await ada.room()
    const name = unique("second question")
    const first = await asked(ada, "[[say old answer]] first question", room)
    await endOf(ada, first)
    const second = await asked(ada, `[[say second answer]] ${name}`, room)
    await endOf(ada, second)
    const third = await asked(ada, "[[say third answer]] third question", room)
    await endOf(ada, third)
    assert.strictEqual((await endOf(ada, placeOf(await again(ada, first)))).status, "completed")
    await endOf(ada, placeOf(await again(ada, second)))
    const turns = turnsOf(callsAbout(world, name).at(-1))
    assert.deepStrictEqual(turns, [
      "user: [[say old answer]] first question",
      "model: old answer",
      `user: [[say second answer]] ${name}`
    ])
  })

  it("puts the newest completed reply into the history, also after a failed one", async () => {
    const ada = await world.newUser()
    const room = await ada.room()
    const topic = unique("topic")
    const first = await asked(ada, `[[length 40]] ${topic}`, room)
    const original = (await endOf(ada, first)).content
    world.gemini.addFault({ match: topic, times: 1, fault: { kind: "blocked" } })
    const blocked = placeOf(await again(ada, first))
    assert.strictEqual((await endOf(ada, blocked)).error.code, "blocked")
    const later = unique("later")
    await endOf(ada, await asked(ada, later, room))
    assert.deepStrictEqual(turnsOf(callsAbout(world, later).at(-1)), [
      `user: [[length 40]] ${topic}`,
      `model: ${original}`,
      `user: ${later}`
    ])

    world.gemini.addFault({ match: topic, times: 1, fault: { kind: "finish", reason: "MAX_TOKENS", after: 1 } })
    const shorter = (await endOf(ada, placeOf(await again(ada, blocked)))).content
    assert.notStrictEqual(shorter, original)
    const last = unique("last")
    await endOf(ada, await asked(ada, last, room))
    assert.deepStrictEqual(turnsOf(callsAbout(world, last).at(-1)).slice(0, 2), [
      `user: [[length 40]] ${topic}`,
      `model: ${shorter}`
    ])
  })

  it("is replayed by its idempotency key on any process, and takes quota once", async () => {
    const ada = await world.newUser()
    const [here, there] = everywhere(world, ada)
    assert.isDefined(here)
    assert.isDefined(there)
    const old = await asked(ada, "[[say x]]")
    await endOf(ada, old)
    const sent = await again(here, old, "again-1")
    const replayed = await again(there, old, "again-1")
    assert.strictEqual(replayed.status, 202)
    assert.strictEqual(replayed.headers.get("idempotent-replayed"), "true")
    assert.isNull(sent.headers.get("idempotent-replayed"))
    assert.deepStrictEqual(replayed.body, sent.body)
    await endOf(ada, placeOf(sent))
    assert.deepStrictEqual((await again(here, old, "again-1")).body, sent.body)
    assert.strictEqual(await usedToday(ada), 2)
    const other = await asked(ada, "[[say y]]")
    await endOf(ada, other)
    const reused = await again(here, other, "again-1")
    assert.strictEqual(reused.status, 422)
    assert.strictEqual(reused.body.code, "idempotency_key_reused")
    assert.strictEqual(await usedToday(ada), 3)
  })

  it("makes one reply for twenty parallel requests with one key", async () => {
    const ada = await world.newUser()
    const both = everywhere(world, ada)
    const old = await asked(ada, "[[say x]]")
    await endOf(ada, old)
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => again(both[index % 2] ?? ada, old, "once")))
    assert.deepStrictEqual([...new Set(answers.map(({ status }) => status))], [202])
    assert.strictEqual(new Set(answers.map(({ body }) => body.reply.id)).size, 1)
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("is 409 not_finished while the newest reply is unfinished, and takes no quota", async () => {
    const ada = await world.newUser()
    const old = await asked(ada, "[[length 400]] [[chunks 20 delay 30]]")
    for (let round = 0; round < 2; round++) {
      const early = await again(ada, old)
      assert.strictEqual(early.status, 409)
      assert.strictEqual(early.body.code, "not_finished")
    }
    await endOf(ada, old)
    const fresh = placeOf(await again(ada, old))
    assert.strictEqual((await again(ada, old)).body.code, "not_finished")
    assert.strictEqual((await again(ada, fresh)).body.code, "not_finished")
    assert.strictEqual((await endOf(ada, fresh)).status, "completed")
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("makes one reply at a time for parallel requests without a key", async () => {
    const ada = await world.newUser()
    const two = everywhere(world, ada)
    const old = await asked(ada, "[[say x]]")
    await endOf(ada, old)
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => again(two[index % 2] ?? ada, old)))
    const accepted = answers.filter(({ status }) => status === 202)
    // Several in succession are allowed, each after the previous one has ended.
    assert.isAtLeast(accepted.length, 1)
    for (const { body, status } of answers) if (status !== 202) assert.strictEqual(body.code, "not_finished")
    assert.strictEqual(await usedToday(ada), 1 + accepted.length)
    for (const sent of accepted) await endOf(ada, placeOf(sent))
  })

  it("works on failed and cancelled replies", async () => {
    const ada = await world.newUser()
    const failed = await asked(ada, unique("[[finish SAFETY 0 times 1]] [[say fine now]]"))
    assert.strictEqual((await endOf(ada, failed)).status, "failed")
    const better = placeOf(await again(ada, failed))
    assert.strictEqual((await endOf(ada, better)).content, "fine now")
    const cancelled = await asked(ada, "[[latency 2000]] [[say late]]")
    await ada.call("POST", `/chatroom/${cancelled.room}/message/${cancelled.reply}/cancel`)
    assert.strictEqual((await endOf(ada, placeOf(await again(ada, cancelled)))).content, "late")
  })

  it("is 404 for an unknown message and another user's", async () => {
    const [ada, bob] = await world.newUsers(2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const place = await asked(ada, "[[say x]]")
    await endOf(ada, place)
    const other = await asked(ada, "[[say y]]")
    await endOf(ada, other)
    assert.strictEqual((await again(bob, place)).body.code, "chatroom_not_found")
    assert.strictEqual((await again(ada, { ...place, reply: nobodysId })).body.code, "message_not_found")
    assert.strictEqual((await again(ada, { ...place, room: nobodysId })).body.code, "chatroom_not_found")
    assert.strictEqual((await again(ada, { ...place, room: other.room })).body.code, "message_not_found")
    assert.strictEqual(await usedToday(bob), 0)
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("is rejected when the day's quota is used up, and leaves the old reply unmarked", async () => {
    const ada = await world.newUser()
    const place = await asked(ada, "[[say x]]")
    await endOf(ada, place)
    await world.database.query("update usage_daily d set used = 20 from users u where u.quota_key = d.quota_key and u.id = $1", [
      ada.userId
    ])
    const refused = await again(ada, place)
    assert.strictEqual(refused.status, 429)
    assert.strictEqual(refused.body.code, "quota_exceeded")
    assert.isNull((await messageAt(ada, place)).body.supersededBy)
  })
})
