import { type GeminiSimulator, type LogEntry, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { type Person, personAt, type Reply } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { newUser, newUsers } from "../support/Users.ts"

export const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
export const nobodysId = "01980000-0000-7000-8000-000000000000"

export interface World {
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
export const startWorld = async (...backends: ReadonlyArray<Readonly<Record<string, string>>>): Promise<World> => {
  const database = await createDatabase()
  const gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const running = await Promise.all(
    backends.map((settings) => startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ...settings }))
  )
  const urls = running.filter((_, index) => backends[index]?.["ROLE"] !== "worker").map(({ url }) => url)
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

export const isPresent = <A>(value: A | undefined): value is A => value !== undefined

/** The same user at every backend. */
export const everywhere = (world: World, person: Person): ReadonlyArray<Person> => world.urls.map((url) => personAt(url, person))

export const statuses = (replies: ReadonlyArray<Reply>): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** The turns that the simulator received, as `role: text`. */
export const turnsOf = (call: LogEntry | undefined): ReadonlyArray<string> => {
  const body = call?.body as { contents: ReadonlyArray<{ role: string; parts: ReadonlyArray<{ text: string }> }> }
  return body.contents.map(({ parts, role }) => `${role}: ${parts.map(({ text }) => text).join("")}`)
}

/** The calls whose last turn, which is the question, contains the text. */
export const callsAbout = (world: World, text: string): ReadonlyArray<LogEntry> => callsTo(world.gemini, text)
export const callsTo = (gemini: GeminiSimulator, text: string): ReadonlyArray<LogEntry> =>
  gemini.log(text).filter((call) => call.method === "streamGenerateContent" && turnsOf(call).at(-1)?.includes(text) === true)

/** Waits until the reply has ended, without a limit. */
export const ended = async (person: Person, sent: Reply): Promise<Reply> => {
  const path = `/chatroom/${sent.body.reply.chatroomId}/message/${sent.body.reply.id}?wait=20`
  while (true) {
    const reply = await person.call("GET", path)
    if (reply.status !== 200 || !["queued", "processing", "waiting"].includes(reply.body.status)) return reply
  }
}

/** The distinct paths in a 400's list of errors. */
export const faultPaths = (reply: Reply): ReadonlyArray<string> => [
  ...new Set<string>((reply.body.errors ?? []).map(({ path }: { path: string }) => path))
]

export const usedToday = async (person: Person): Promise<number> => (await person.call("GET", "/user/me")).body.quota.used

/** Reads all pages of a list by cursor, and returns the items by page. */
export const walk = async <A>(person: Person, path: string): Promise<Array<Array<A>>> => {
  const pages: Array<Array<A>> = []
  let cursor = ""
  while (true) {
    const page = await person.call("GET", path + cursor)
    if (page.status !== 200) throw new Error(page.text)
    pages.push(page.body.data)
    if (page.body.hasMore !== (page.body.nextCursor !== null)) throw new Error("hasMore and nextCursor disagree")
    if (!page.body.hasMore) return pages
    cursor = `${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(page.body.nextCursor)}`
  }
}

/** The next page's path, from the `Link` header. */
export const nextOf = (reply: Reply): string | undefined => /<([^>]+)>; rel="next"/.exec(reply.headers.get("link") ?? "")?.[1]
