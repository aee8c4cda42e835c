import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startWorld, type World } from "./World.ts"

/** Replaces a function of the product by one that returns a word of its own. */
const answerOf = async (world: World, name: string, outcome: string) => {
  const [known] = await world.database.query<{ signature: string }>(
    "select pg_get_function_arguments(oid) as signature from pg_proc where proname = $1 and prorettype = 'jsonb'::regtype",
    [name]
  )
  await world.database.query(`
    create or replace function ${name}(${known?.signature}) returns jsonb language sql as $$
      select jsonb_build_object('outcome', '${outcome}')
    $$
  `)
}

describe("an outcome that this release does not know", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ ROLE: "api", LOG_LEVEL: "none" })
  })
  afterAll(() => world.stop())

  it("is a fault of the server, not one of the refusals", async () => {
    const ada = await world.newUser()
    const room = await ada.room()
    const { reply } = (await ada.ask(room, "Who answers?")).body

    await answerOf(world, "finish_reply", "postponed")
    const cancelled = await ada.call("POST", `/chatroom/${room}/message/${reply.id}/cancel`)
    assert.deepStrictEqual([cancelled.status, cancelled.body.code], [500, "internal"])

    await answerOf(world, "send_message", "postponed")
    const sent = await ada.ask(room, "And now?")
    assert.deepStrictEqual([sent.status, sent.body.code], [500, "internal"])

    // A word that it knows is the refusal of that name.
    await answerOf(world, "send_message", "room_busy")
    const refused = await ada.ask(room, "And now?")
    assert.deepStrictEqual([refused.status, refused.body.code], [409, "room_busy"])
  })
})
