import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { request } from "../support/Client.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

describe("creating and deleting rooms repeatedly", () => {
  let backends: TestBackends
  let url = ""
  beforeAll(async () => {
    backends = await startBackends({ ROLE: "api" })
    url = backends.urls[0] ?? ""
  })
  afterAll(() => backends.stop())

  /** As if the user had created rooms for so many of the 3,600 seconds of the allowance. */
  const use = (userId: string, seconds: number) =>
    backends.database.query(
      `insert into throttles (key, tat) values ('chatrooms:' || $1, now() + make_interval(secs => $2))
        on conflict (key) do update set tat = excluded.tat`,
      [userId, seconds]
    )
  const create = (token: string, key?: string) =>
    request(url, "POST", "/chatroom", {
      token,
      body: { title: "One of many" },
      ...(key === undefined ? {} : { headers: { "idempotency-key": key } })
    })

  it("is 429 with Retry-After after 1,200 an hour, of one user alone", async () => {
    const [ada, bob] = await backends.newUsers(2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const kept = await create(ada.token, "kept-before-the-limit")
    assert.strictEqual(kept.status, 201)
    // Four rooms are left, and one more every three seconds.
    await use(ada.userId, 3_588)
    let created = 0
    let refused = await create(ada.token)
    while (refused.status === 201 && created < 100) {
      created++
      await request(url, "DELETE", `/chatroom/${refused.body.id}`, { token: ada.token })
      refused = await create(ada.token)
    }
    assert.isAtLeast(created, 3)
    assert.isBelow(created, 20)
    assert.deepStrictEqual([refused.status, refused.body.code], [429, "chatrooms_limited"])
    assert.oneOf(Number(refused.headers.get("retry-after")), [1, 2, 3])
    assert.strictEqual((await create(bob.token)).status, 201)

    const replayed = await create(ada.token, "kept-before-the-limit")
    assert.deepStrictEqual([replayed.status, replayed.body.id], [201, kept.body.id], "a replay creates nothing")
  })

  it("keeps no idempotency key of a refused request", async () => {
    const ada = await backends.newUser()
    await use(ada.userId, 7_200)
    assert.strictEqual((await create(ada.token, "key-of-a-refused-request")).status, 429)
    const keys = await backends.database.query("select from idempotency_keys where user_id = $1", [ada.userId])
    assert.strictEqual(keys.length, 0)
  })

  it("lets a user create all rooms that a user may have", async () => {
    const ada = await backends.newUser()
    await use(ada.userId, 599)
    // The other 1,000 of the hour's 1,200 need 3,000 seconds of allowance.
    assert.strictEqual((await create(ada.token)).status, 201)
    const [row] = await backends.database.query<{ left: number }>(
      "select 3600 - extract(epoch from tat - now())::float8 as left from throttles where key = 'chatrooms:' || $1",
      [ada.userId]
    )
    assert.isAtLeast((row?.left ?? 0) / 3, 999)
  })
})
