import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { model } from "../openai/Clients.ts"
import type { Person } from "../support/Client.ts"
import { upload } from "../support/files.ts"
import { uniquePrompt } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { png } from "./samples.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "100", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

const newFile = () => png({ seed: crypto.randomUUID() })
const newUrl = () => `data:image/png;base64,${newFile().toString("base64")}`

/** A request of each kind that brings files: one at `/files`, two each at `/ai/chat` and `/v1`. */
const routes: ReadonlyArray<readonly [string, number, (person: Person) => Promise<{ readonly status: number }>]> = [
  ["/files", 1, (person) => upload(backends.urls[0] ?? "", person, "image/png", newFile())],
  [
    "/ai/chat",
    2,
    (person) => {
      const files = times(2, () => ({ type: "file", mediaType: "image/png", url: newUrl() }))
      const parts = [{ type: "text", text: uniquePrompt("[[say seen]]") }, ...files]
      const message = { id: crypto.randomUUID(), role: "user", parts }
      return person.call("POST", "/ai/chat", { id: crypto.randomUUID(), messages: [message] })
    }
  ],
  [
    "/v1/chat/completions",
    2,
    (person) => {
      const images = times(2, () => ({ type: "image_url", image_url: { url: newUrl() } }))
      const content = [{ type: "text", text: uniquePrompt("[[say seen]]") }, ...images]
      return person.call("POST", "/v1/chat/completions", { model, messages: [{ role: "user", content }] })
    }
  ]
]

describe("the uploads of a user", { timeout: 120_000 }, () => {
  it.each(routes)("are four at once at %s, and the others follow", async (_, filesOfRequest, send) => {
    const ada = await backends.newUser()
    const holder = new pg.Client({ connectionString: backends.database.url })
    await holder.connect()
    await holder.query("begin")
    await holder.query("select 1 from users where id = $1 for update", [ada.userId])

    /** Uploads that wait for the user's row, to take storage. */
    const begun = async () => {
      const rows = await backends.database.query(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into files%'"
      )
      return rows.length
    }
    // As many as a user may have streams, so that none is refused for another reason.
    const requests = times(5, () => send(ada))
    // Each upload takes a minute of the allowance of sixty an hour right before it waits for its turn.
    await until("five uploads have come", async () => {
      const [row] = await backends.database.query<{ taken: number }>(
        "select ceil(extract(epoch from tat - clock_timestamp()) / 60)::int as taken from throttles where key = $1",
        [`files:${ada.userId}`]
      )
      return row?.taken === 5
    })
    await until("four uploads have begun", async () => (await begun()) >= 4)
    // A fifth one would begin within this request.
    await ada.call("GET", "/files")
    assert.strictEqual(await begun(), 4)

    await holder.query("commit")
    await holder.end()
    for (const { status } of await Promise.all(requests)) assert.oneOf(status, [200, 201])
    const stored = await backends.database.query("select 1 from files where user_id = $1 and status = 'ready'", [ada.userId])
    assert.lengthOf(stored, 5 * filesOfRequest)
  })
})
