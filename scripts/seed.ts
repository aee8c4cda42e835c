import { existsSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

/**
 * `npm run seed`: creates three users with rooms in the `npm run dev` that listens at `PORT`, through its API. Running it
 * again adds no rooms to users who have some.
 */
if (existsSync(".env")) process.loadEnvFile(".env")

class SeedError extends Error {}

const base = `http://localhost:${process.env["PORT"] || "3000"}`

interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- a script reads the answers of its own server
  readonly body: any
}

const call = async (method: string, path: string, { body, token }: { body?: unknown; token?: string } = {}): Promise<Answer> => {
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await response.text()
  const answer = { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
  if (response.status >= 400) throw new SeedError(`${method} ${path}: ${answer.body.code}: ${answer.body.detail}`)
  return answer
}

const isLocal = (url: string) => ["localhost", "127.0.0.1"].includes(new URL(url).hostname)

/** Refuses every server but one that says itself that it is at `localhost`, before anything is written. */
const requireDevelopment = async () => {
  if (process.env["APP_ENV"] === "production") throw new SeedError("APP_ENV is production: only a development server is seeded")
  const document = await call("GET", "/openapi.json").catch((error: unknown) => {
    throw error instanceof SeedError ? error : new SeedError(`${base} does not answer: start it with npm run dev`)
  })
  const [server] = document.body.servers
  if (!isLocal(server.url)) throw new SeedError(`${base} is ${server.url}: only a development server is seeded`)
}

interface Person {
  readonly name: string
  readonly mobile: string
  readonly token: string
  /** Whether an earlier run has created the person's rooms. */
  readonly hasRooms: boolean
}

const logIn = async (name: string, mobile: string): Promise<Person> => {
  const sent = await call("POST", "/auth/send-otp", { body: { mobile } })
  const { challengeId, otp } = sent.body
  if (otp === undefined)
    throw new SeedError("its one-time codes are delivered: only a server with OTP_DELIVERY=response is seeded")
  const { token } = (await call("POST", "/auth/verify-otp", { body: { mobile, otp, challengeId } })).body
  await call("PATCH", "/user/me", { token, body: { name } })
  const rooms = await call("GET", "/chatroom?limit=1", { token })
  return { name, mobile, token, hasRooms: rooms.body.data.length > 0 }
}

const openRoom = async ({ token }: Person, settings: object): Promise<string> =>
  (await call("POST", "/chatroom", { token, body: settings })).body.id

const ask = async ({ token }: Person, room: string, questions: ReadonlyArray<string>) => {
  for (const content of questions) await call("POST", `/chatroom/${room}/message?wait=30`, { token, body: { content } })
}

/** Pays at the Stripe simulator. Returns whether the person is Pro; without the simulator nothing is paid. */
const becomePro = async ({ token }: Person): Promise<boolean> => {
  const tier = async () => (await call("GET", "/subscription/status", { token })).body.tier
  if ((await tier()) === "pro") return true
  const checkout = await call("POST", "/subscribe/pro", { token }).catch(() => undefined)
  if (checkout === undefined || !isLocal(checkout.body.checkoutUrl)) return false
  const form = new URLSearchParams({ action: "pay", email: "ada@example.com" })
  await fetch(checkout.body.checkoutUrl, { method: "POST", body: form, redirect: "manual" })
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await tier()) === "pro") return true
    await sleep(100)
  }
  return false
}

/** Few with Google's model, whose answers cost money. */
const turns = process.env["GEMINI_API_KEY"] ? 3 : 40
const topics = ["warp", "weft", "shuttle", "heddle", "selvedge", "twill", "satin", "damask"]
const conversation = Array.from(
  { length: turns },
  (_, index) => `Question ${index + 1}: what does "${topics[index % topics.length]}" mean in weaving?`
)

/** A Pro subscriber with a long conversation, a pinned and an archived room. */
const seedAda = async () => {
  const ada = await logIn("Ada Lovelace", "+919800000001")
  const isPro = await becomePro(ada)
  if (!ada.hasRooms) {
    const looms = await openRoom(ada, { title: "Looms", systemPrompt: "You are a weaver." })
    await ask(ada, looms, isPro ? conversation : conversation.slice(0, 3))
    await call("PATCH", `/chatroom/${looms}`, { token: ada.token, body: { pinned: true } })
    const old = await openRoom(ada, { title: "Notes of last year" })
    await call("PATCH", `/chatroom/${old}`, { token: ada.token, body: { archived: true } })
    await openRoom(ada, {})
  }
  return { ...ada, note: isPro ? `Pro, a conversation of ${turns} questions` : "Basic, because there is no simulated Stripe" }
}

/** A Basic user with prompts left. */
const seedGrace = async () => {
  const grace = await logIn("Grace Hopper", "+919800000002")
  if (!grace.hasRooms) {
    await ask(grace, await openRoom(grace, {}), ["What is a compiler?", "And a linker?"])
    await openRoom(grace, { title: "Bugs", temperature: 0 })
  }
  return { ...grace, note: "Basic, with prompts left today" }
}

/** A Basic user whose prompts of today are used up. */
const seedAlan = async () => {
  const alan = await logIn("Alan Turing", "+919800000003")
  const { remaining } = (await call("GET", "/user/me", { token: alan.token })).body.quota
  const rooms = await call("GET", "/chatroom?limit=1", { token: alan.token })
  const room = rooms.body.data[0]?.id ?? (await openRoom(alan, { title: "Machines" }))
  const left = Array.from({ length: remaining ?? 0 }, (_, index) => `Can machine ${index + 1} think?`)
  await ask(alan, room, left)
  return { ...alan, note: "Basic, today's prompts are used up" }
}

try {
  await requireDevelopment()
  process.stdout.write("Asking questions; this takes half a minute.\n")
  for (const seed of [seedAda, seedGrace, seedAlan]) {
    const { mobile, name, note, token } = await seed()
    process.stdout.write(`\n${name}, ${mobile}: ${note}\nTOKEN=${token}\n`)
  }
  process.stdout.write(
    `\nThe tokens are for "Authorization: Bearer $TOKEN". To log in again, ask for a code of the number: the response contains it.\n`
  )
} catch (error) {
  if (!(error instanceof SeedError)) throw error
  process.stderr.write(`cannot seed: ${error.message}\n`)
  process.exitCode = 1
}
