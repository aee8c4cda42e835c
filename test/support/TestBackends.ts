import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "./Backend.ts"
import { type Person, personAt } from "./Client.ts"
import { createDatabase, type TestDatabase } from "./Database.ts"
import { newUser, newUsers } from "./Users.ts"

/** Backends on one database, with a Gemini simulator. */
export interface TestBackends {
  readonly database: TestDatabase
  readonly gemini: GeminiSimulator
  /** The URL of every backend that serves requests. */
  readonly urls: ReadonlyArray<string>
  /** A new user, logged in at the first backend. */
  readonly newUser: () => Promise<Person>
  readonly newUsers: (count: number) => Promise<ReadonlyArray<Person>>
  readonly stop: () => Promise<void>
}

/** Starts a database, a Gemini simulator and backends that use both; the first backend must serve requests. */
export const startBackends = async (...settings: ReadonlyArray<Readonly<Record<string, string>>>): Promise<TestBackends> => {
  const database = await createDatabase()
  const gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const running = await Promise.all(
    settings.map((own) => startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ...own }))
  )
  const urls = running.filter((_, index) => settings[index]?.["ROLE"] !== "worker").map(({ url }) => url)
  const url = urls[0] ?? ""
  return {
    database,
    gemini,
    urls,
    newUser: () => newUser(url, database),
    newUsers: (count) => newUsers(url, database, count),
    stop: async () => {
      await Promise.all(running.map((backend) => backend.stop()))
      await gemini.stop()
      await database.drop()
    }
  }
}

/** Two backends on one database. Only the second has a worker, so the first streams every reply from another process. */
export const startTwoBackends = (settings: Readonly<Record<string, string>> = {}): Promise<TestBackends> =>
  startBackends(
    { ROLE: "api", BASIC_DAILY_PROMPTS: "100000", BASIC_CONCURRENCY: "1000", LOG_LEVEL: "none", ...settings },
    { ROLE: "all", BASIC_DAILY_PROMPTS: "100000", BASIC_CONCURRENCY: "1000", LOG_LEVEL: "none", ...settings }
  )

export const bothUrls = (backends: TestBackends): readonly [string, string] => {
  const [one, other] = backends.urls
  if (one === undefined || other === undefined) throw new Error("two backends listen")
  return [one, other]
}

/** The same user at every backend. */
export const atEveryBackend = (backends: TestBackends, person: Person): ReadonlyArray<Person> =>
  backends.urls.map((url) => personAt(url, person))
