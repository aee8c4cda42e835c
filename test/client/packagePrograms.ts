/** A program on the installed client. It prints its results as JSON, and pauses where the test has to act. */
export const flow = `
import { createInterface } from "node:readline"
import { applyEvent, ChatClient, Problem, type StoredTokens, Unreachable } from "gemini-chat-client"

const [baseUrl = "", mobile = ""] = process.argv.slice(2)
const lines = createInterface(process.stdin)[Symbol.asyncIterator]()
const pause = async (name: string, value = ""): Promise<string> => {
  process.stdout.write(JSON.stringify({ pause: name, value }) + "\\n")
  return (await lines.next()).value ?? ""
}
const seen: Record<string, unknown> = {}
const sent: Array<string> = []
let stored: StoredTokens | undefined
const client = new ChatClient({
  baseUrl,
  tokens: { load: () => stored, save: (tokens) => void (stored = tokens) },
  fetch: (input, init) => {
    sent.push(\`\${init?.method} \${new URL(String(input)).pathname}\`)
    return fetch(input, init)
  }
})

// A login with a one-time code.
const { challengeId, otp = "" } = await client.sendCode(mobile)
const login = await client.logIn({ mobile, otp, challengeId })
seen["login"] = login.user.mobile === mobile

// A streamed question, whose connection is cut in the middle.
const room = await client.call("POST /chatroom", { body: { title: "Looms" } })
const { reply } = await client.ask(room.id, "[[length 1500]] [[unicode]] [[chunks 100 delay 50]]")
let deltas = 0
let losses = 0
let message = { ...reply, content: "" }
let streamed = ""
for await (const event of client.stream(reply, { onLost: () => losses++ })) {
  message = applyEvent(message, event)
  if (event.type === "delta" && ++deltas === 3) await pause("cut")
  if (event.type === "delta") streamed = message.content
}
const whole = await client.call("GET /chatroom/:id/message/:mid", { params: { id: room.id, mid: reply.id } })
seen["stream"] = [message.status, streamed.length, streamed === whole.content, deltas > 3, losses > 0]

// The same reply from a position in the middle, and with a ticket.
const rest = client.stream(reply, { after: "1:1000", ticket: true })
let tail = ""
for await (const event of rest) if (event.type === "delta") tail += event.text
seen["ticket"] = [tail === whole.content.slice(1000), rest.position]

for (const title of ["a", "b", "c"]) await client.call("POST /chatroom", { body: { title } })

// 429 with Retry-After: waited for, with the same idempotency key.
await pause("limit", login.user.id)
sent.length = 0
const startedAt = performance.now()
const second = await client.call("POST /chatroom", { body: { title: "Numbers" } })
seen["limited"] = [second.title, [...sent], performance.now() - startedAt >= 1000]

// An expired access token is exchanged once for many calls.
const expired = await pause("expire", stored?.accessToken)
if (stored !== undefined) stored = { ...stored, accessToken: expired, renewAt: Infinity }
sent.length = 0
const rooms = await Promise.all(Array.from({ length: 20 }, () => client.call("GET /chatroom")))
seen["refreshed"] = [rooms.every(({ data }) => data.length === 5), sent.filter((name) => name === "POST /auth/refresh").length]

// An upload, and a question about it.
const file = await client.upload(new TextEncoder().encode("# Looms"), { name: "looms.md", type: "text/markdown" })
const about = await client.ask(room.id, { content: "What is it?", attachments: [file.id] }, { wait: 20 })
const bytes = await client.request("GET /files/:id/content", { params: { id: file.id } })
seen["file"] = [file.name, file.type, about.message.attachments.map(({ id }) => id === file.id), await bytes.text()]

// Pages.
const titles: Array<string> = []
let pages = 0
for await (const { data } of client.pages("GET /chatroom", { query: { limit: 2 } })) pages += data.length > 0 ? 1 : 0
for await (const { title } of client.items("GET /chatroom", { query: { limit: 2 } })) titles.push(title)
seen["pages"] = [pages, titles.sort()]

// Refusals.
const refusal = (promise: Promise<unknown>): Promise<Problem> =>
  promise.then(
    () => { throw new Error("it was not refused") },
    (error: unknown) => { if (error instanceof Problem) return error; throw error }
  )
const unfit = await refusal(client.ask(room.id, " "))
seen["refusal"] = [unfit.status, unfit.code, unfit.errors.map(({ path }) => path), (unfit.requestId ?? "").length > 10]
seen["away"] = await new ChatClient({ baseUrl: "http://127.0.0.1:9", retries: { count: 0 } })
  .call("GET /healthz")
  .catch((error: unknown) => error instanceof Unreachable)

await client.logOut()
seen["logOut"] = [stored === undefined, (await refusal(client.call("GET /user/me"))).code]
lines.return?.()
process.stdout.write(JSON.stringify(seen) + "\\n", () => process.exit())
`

/** A program without Node's types. */
export const browserProgram = `
import { ChatClient, type Message, type ReplyEvent } from "gemini-chat-client"

export const follow = async (client: ChatClient, reply: Message, show: (event: ReplyEvent) => void): Promise<void> => {
  for await (const event of client.stream(reply)) show(event)
}
export const send = (client: ChatClient, file: File) => client.upload(file, { signal: AbortSignal.timeout(1000) })
`

/** A page whose session is in localStorage. `run` asks and follows a reply over a cut; two of the others are for two tabs, two for a cookie. */
export const browserPage = `<!doctype html><meta charset="utf-8"><script type="module">
import { applyEvent, ChatClient } from "./client.js"

const tokens = {
  load: () => JSON.parse(localStorage.getItem("tokens") ?? "null") ?? undefined,
  save: (tokens) => localStorage.setItem("tokens", JSON.stringify(tokens ?? null))
}

const endOf = (url) =>
  new Promise((resolve, reject) => {
    const source = new EventSource(url)
    source.addEventListener("completed", ({ type }) => {
      source.close()
      resolve(type)
    })
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && reject(new Error("no stream")))
  })

globalThis.run = async (baseUrl, mobile) => {
  const client = new ChatClient({ baseUrl, tokens })
  const { challengeId, otp } = await client.sendCode(mobile)
  await client.logIn({ mobile, otp, challengeId })
  const room = await client.call("POST /chatroom", {})
  const { reply } = await client.ask(room.id, "[[length 1500]] [[unicode]] [[chunks 100 delay 50]]")
  let message = { ...reply, content: "" }
  let streamed = ""
  let deltas = 0
  let lost = false
  for await (const event of client.stream(reply, { onLost: () => (lost = true) })) {
    message = applyEvent(message, event)
    if (event.type === "delta" && ++deltas === 3) await cut()
    if (event.type === "delta") streamed = message.content
  }
  const url = await client.ticketUrl("POST /chatroom/:id/message/:mid/stream-ticket", { params: { id: room.id, mid: reply.id } })
  const pixels = await new Promise((resolve) => document.createElement("canvas").toBlob(resolve, "image/png"))
  const file = await client.upload(new File([pixels], "canvas.png", { type: "image/png" }))
  return { status: message.status, same: streamed === message.content, lost, source: await endOf(url), file: file.type }
}

globalThis.expireStored = async () => {
  const stored = tokens.load()
  tokens.save({ ...stored, accessToken: await expire(stored.accessToken), renewAt: 0 })
}

globalThis.isExpired = () => tokens.load()?.renewAt === 0

globalThis.listTwice = async (baseUrl) => {
  const client = new ChatClient({ baseUrl, tokens })
  const pages = await Promise.all([client.call("GET /chatroom"), client.call("GET /chatroom")])
  return pages.filter(({ data }) => data.length === 1).length
}

const ofThisOrigin = () => new ChatClient({ baseUrl: location.origin + "/api", cookie: true })

globalThis.logInWithCookie = async (mobile) => {
  const client = ofThisOrigin()
  const { challengeId, otp } = await client.sendCode(mobile)
  await client.logIn({ mobile, otp, challengeId })
}

globalThis.restoreAndLeave = async () => {
  const client = ofThisOrigin()
  const isRestored = await client.restore()
  const me = await client.call("GET /user/me")
  await client.logOut()
  return [isRestored, me.mobile.length > 0, await ofThisOrigin().restore()]
}
</script>`

/** Wrong uses of the client, which its types must reject. */
export const wrong: ReadonlyArray<readonly [what: string, statement: string]> = [
  ["an unknown operation", `client.call("GET /rooms")`],
  ["a missing parameter", `client.call("GET /chatroom/:id")`],
  ["another parameter", `client.call("GET /chatroom/:id", { params: { room: "" } })`],
  ["a missing body", `client.call("POST /auth/send-otp")`],
  ["a member of another type", `client.call("PATCH /chatroom/:id", { params: { id }, body: { pinned: "yes" } })`],
  ["a parameter of another type", `client.call("GET /chatroom", { query: { limit: "ten" } })`],
  ["an unknown parameter", `client.call("GET /chatroom", { query: { size: 10 } })`],
  ["bytes as JSON", `client.call("GET /files/:id/content", { params: { id } })`],
  ["pages of what is not a list", `client.pages("GET /user/me")`],
  ["an unknown member of a response", `(await client.call("GET /user/me")).password`],
  ["a nullable value used as a value", `(await client.call("GET /user/me")).name.length`],
  ["an unknown status", `(await client.call("GET /chatroom/:id/message/:mid", { params: { id, mid: id } })).status === "done"`],
  [
    "an event's member without its type",
    `client.stream({ chatroomId: id, id })[Symbol.asyncIterator]().next().then(({ value }) => value?.text)`
  ],
  ["a ticket for another operation", `client.ticketUrl("POST /chatroom")`]
]
