import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

/** Replaces a function of the product by one that returns a word of its own. */
const answerOf = async (backends: TestBackends, name: string, outcome: string) => {
  const [known] = await backends.database.query<{ signature: string }>(
    "select pg_get_function_arguments(oid) as signature from pg_proc where proname = $1 and prorettype = 'jsonb'::regtype",
    [name]
  )
  await backends.database.query(`
    create or replace function ${name}(${known?.signature}) returns jsonb language sql as $$
      select jsonb_build_object('outcome', '${outcome}')
    $$
  `)
}

describe("an outcome that this release does not know", () => {
  let backends: TestBackends
  beforeAll(async () => {
    backends = await startBackends({ ROLE: "api", LOG_LEVEL: "none" })
  })
  afterAll(() => backends.stop())

  it("is a fault of the server, not one of the refusals", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const { reply } = (await ada.ask(room, "Who answers?")).body

    await answerOf(backends, "finish_reply", "postponed")
    const cancelled = await ada.call("POST", `/chatroom/${room}/message/${reply.id}/cancel`)
    assert.deepStrictEqual([cancelled.status, cancelled.body.code], [500, "internal"])

    await answerOf(backends, "send_message", "postponed")
    const sent = await ada.ask(room, "And now?")
    assert.deepStrictEqual([sent.status, sent.body.code], [500, "internal"])

    // A word that it knows is the refusal of that name.
    await answerOf(backends, "send_message", "room_busy")
    const refused = await ada.ask(room, "And now?")
    assert.deepStrictEqual([refused.status, refused.body.code], [409, "room_busy"])
  })
})
