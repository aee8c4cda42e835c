import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import type { Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { newUsers } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { jobs, repliesOf, violatedInvariants } from "../support/Invariants.ts"

/** `FLEET_MESSAGES=500 FLEET_PER_USER=10 EMBEDDED_POSTGRES_BIN=/usr/lib/postgresql/15/bin` runs it at full length. */
const total = Number(process.env["FLEET_MESSAGES"] ?? 150)
const perUser = Number(process.env["FLEET_PER_USER"] ?? 5)
const users = total / perUser

type Process = Awaited<ReturnType<typeof startProcess>>

/** The answer to a question, whatever fails on the way. */
const answerTo = (user: number, index: number) => `to question ${index} of ${user}: ${"words ".repeat(20)}`
const question = (user: number, index: number) => {
  const faults = ["", "", "[[status 503 times 1]]", "", "[[cut 3 times 1]]", "", "[[status 400]]", "", "", ""]
  return `[[say ${answerTo(user, index)}]] [[chunks 10 delay 60]] ${faults[(user + index) % faults.length]}`
}

describe("a fleet of one api and two workers", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let api: Process
  let people: ReadonlyArray<Person>
  const workers: Array<Process> = []

  const startWorker = (place: number) =>
    startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ROLE: "worker", WORKER_CONCURRENCY: "20" }).then(
      (worker) => (workers[place] = worker).started()
    )

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator()
    api = await startProcess({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      ROLE: "api",
      BASIC_DAILY_PROMPTS: String(perUser)
    })
    await Promise.all([api.started(), startWorker(0), startWorker(1)])
    people = await newUsers(api.url, database, users)
  })
  afterAll(async () => {
    for (const process of [api, ...workers]) await process.kill("SIGKILL")
    await gemini.stop()
    await database.drop()
  })

  /** Asks until the room accepts: it takes at most four unanswered questions. */
  const ask = async (person: Person, room: string, content: string): Promise<number> => {
    const sent = await person.ask(room, content)
    if (sent.status !== 409) return sent.status
    await sleep(200)
    return ask(person, room, content)
  }

  const finished = async () => {
    const [row] = await database.query<{ count: number }>(
      "select count(*)::int from messages where role = 'model' and completed_at is not null"
    )
    return row?.count ?? 0
  }

  const killWhenFinished = async (place: number, share: number) => {
    await until(`${share} of the replies`, async () => (await finished()) >= total * share, { seconds: 60 })
    await workers[place]?.kill("SIGKILL")
    await sleep(500)
    await startWorker(place)
  }

  it(`answers ${total} messages once each, while its workers are killed`, { timeout: 180_000 }, async () => {
    const begun = Date.now()
    const sending = people.map(async (person, user) => {
      const room = await person.room()
      const statuses: Array<number> = []
      for (let index = 0; index < perUser; index++) statuses.push(await ask(person, room, question(user, index)))
      return statuses
    })
    const killing = killWhenFinished(0, 0.2).then(() => killWhenFinished(1, 0.5))
    const statuses = (await Promise.all(sending)).flat()
    await killing
    assert.deepStrictEqual(
      statuses.filter((status) => status !== 202),
      []
    )
    await until("all replies", async () => (await finished()) === total, { seconds: 120 })
    const seconds = (Date.now() - begun) / 1000

    assert.deepStrictEqual(await violatedInvariants(database), [])
    const replies = await repliesOf(database)
    assert.strictEqual(replies.length, total)
    for (const reply of replies) {
      const refused = reply.question.includes("[[status 400]]")
      assert.strictEqual(reply.status, refused ? "failed" : "completed", JSON.stringify(reply))
      assert.strictEqual(reply.error_code, refused ? "model_misconfigured" : null)
      assert.strictEqual(reply.content, refused ? "" : /\[\[say (.*?)\]\]/.exec(reply.question)?.[1])
    }
    const retried = replies.filter((reply) => reply.attempt > 1).length
    const { started } = gemini.stats()
    process.stdout.write(
      `fleet: ${total} messages of ${users} users in ${seconds.toFixed(1)} s, ${retried} with more than one attempt, ${started} calls of the model\n`
    )
  })

  it("leaves no job that would run again", async () => {
    // A job can still be locked by a worker that ended its reply and died before it completed the job. This is as if
    // 46 seconds had passed since every worker's last heartbeat.
    await database.query("update worker_heartbeats set seen_at = now() - interval '46 seconds'")
    await until("the queue to be empty", async () => (await jobs(database)).every((job) => job.attempts === job.max_attempts), {
      seconds: 30
    })
  })

  it("reports an exact quota to every user", async () => {
    for (const person of people.slice(0, 10)) {
      const refunded = await database.query("select 1 from messages where user_id = $1 and quota_state = 'refunded'", [
        person.userId
      ])
      const { quota } = (await person.call("GET", "/user/me")).body
      assert.strictEqual(quota.used, perUser - refunded.length)
    }
  })
})
