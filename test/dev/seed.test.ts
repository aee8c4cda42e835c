import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startTestBackend, type TestBackend } from "../billing/TestBackend.ts"
import { request } from "../support/Client.ts"
import { runToEnd } from "../support/runToEnd.ts"

let backend: TestBackend

beforeAll(async () => {
  backend = await startTestBackend({ backends: [{}, { APP_URL: "https://chat.example" }] })
})
afterAll(() => backend.stop())

const seed = (url: string, settings: Record<string, string> = {}) =>
  runToEnd("scripts/seed.ts", { PORT: new URL(url).port, ...settings })
const countPeople = async () => (await backend.database.query<{ count: number }>("select count(*)::int from users"))[0]?.count

describe("npm run seed", () => {
  const urls = () => [backend.urls[0] ?? "", backend.urls[1] ?? ""] as const

  it("refuses a server whose address is not this machine's, and APP_ENV=production, and writes nothing", async () => {
    const [local, deployed] = urls()
    const refusals = [await seed(deployed), await seed(local, { APP_ENV: "production" })]
    for (const { code, stderr } of refusals) {
      assert.match(stderr, /^cannot seed: .+: only a development server is seeded\n$/)
      assert.strictEqual(code, 1)
    }
    assert.strictEqual(await countPeople(), 0)
  })

  it("makes three people, one of them Pro with a long conversation, and prints their tokens", async () => {
    const [local] = urls()
    const { code, stderr, stdout } = await seed(local)
    assert.deepStrictEqual([stderr, code], ["", 0])
    const tokens = [...stdout.matchAll(/^TOKEN=(.+)$/gm)].map(([, token = ""]) => token)
    const people = await Promise.all(tokens.map((token) => request(local, "GET", "/user/me", { token })))
    assert.deepStrictEqual(
      people.map(({ body }) => [body.name, body.tier, body.quota.remaining === 0]),
      [
        ["Ada Lovelace", "pro", false],
        ["Grace Hopper", "basic", false],
        ["Alan Turing", "basic", true]
      ]
    )
    const questions = await backend.database.query<{ count: number }>(
      "select count(*)::int from messages where role = 'user' group by user_id order by 1"
    )
    assert.deepStrictEqual(
      questions.map(({ count }) => count),
      [2, 5, 40]
    )
  })

  it("adds no rooms and no questions when it is repeated", async () => {
    const [local] = urls()
    const before = await backend.database.query("select id from messages union all select id from chatrooms order by 1")
    await backend.database.query("delete from throttles")
    const { stderr } = await seed(local)
    assert.strictEqual(stderr, "")
    assert.deepStrictEqual(
      await backend.database.query("select id from messages union all select id from chatrooms order by 1"),
      before
    )
    assert.strictEqual(await countPeople(), 3)
  })
})
