import { readUIMessageStream, type UIMessage } from "ai"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import { type Person, request } from "../support/Client.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { uniquePrompt, usedToday } from "../support/messages.ts"
import { unknownId } from "../support/responses.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"
import { type Chat, loadChat, newChat, plain, textOf, thoughtsOf, transportOf } from "./AiClient.ts"

let backends: TestBackends
/** Has no worker: its streams come from the other process. */
let base: string

beforeAll(async () => {
  backends = await startTwoBackends({ BASIC_DAILY_SEARCHES: "100" })
  ;[base] = bothUrls(backends)
})
afterAll(() => backends.stop())

/** Asks until the reply has ended. */
const ask = async (chat: Chat, text: string) => {
  await chat.sendMessage({ text })
  return chat.messages.at(-1) ?? assert.fail("no message")
}
const loadOf = async (person: Person, id: string): Promise<ReadonlyArray<UIMessage>> =>
  (await person.call("GET", `/ai/chat/${id}`)).body
/** What the SDK says of a refusal: the body of the response. */
const problemOf = ([error]: ReadonlyArray<Error>) => JSON.parse(error?.message ?? "null")

describe("useChat's transport", () => {
  it("opens a room by its first question, and streams the reply that is loaded later", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const reply = await ask(chat, uniquePrompt("[[length 600]] [[chunks 20 delay 20]]"))
    assert.deepStrictEqual([chat.status, chat.errors.length], ["ready", 0])
    assert.lengthOf(textOf(reply), 600)
    const [question, stored] = await loadOf(ada, chat.id)
    const { quota, ...metadata } = reply.metadata as Record<string, unknown>
    assert.deepStrictEqual(plain({ ...reply, metadata }), stored)
    assert.deepInclude(quota, { used: 1 })
    assert.strictEqual(metadata["questionId"], question?.id)
    assert.strictEqual(textOf(question ?? assert.fail()), textOf(chat.messages[0] ?? assert.fail()))
    assert.include(
      chat.data.map(({ type }) => type),
      "data-status"
    )
    const room = await ada.call("GET", `/chatroom/${chat.id}`)
    assert.strictEqual(room.body.messages.at(-1).content, textOf(reply))
    assert.notStrictEqual(room.body.title, "New chat")

    // The next question follows the first.
    const next = uniquePrompt("[[say and on]] next")
    await ask(chat, next)
    assert.lengthOf(turnsOf(callsAbout(backends, next)[0]), 3)
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("has the headers of the protocol", async () => {
    const ada = await backends.newUser()
    const body = { id: crypto.randomUUID(), messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "Hello" }] }] }
    const reply = await request(base, "POST", "/ai/chat", { token: ada.token, body })
    assert.strictEqual(reply.status, 200)
    for (const [name, value] of [
      ["content-type", "text/event-stream"],
      ["x-vercel-ai-ui-message-stream", "v1"],
      ["x-accel-buffering", "no"],
      ["content-encoding", null]
    ] as const)
      assert.strictEqual(reply.headers.get(name), value)
    assert.match(reply.headers.get("cache-control") ?? "", /no-cache/)
    assert.match(reply.headers.get("ratelimit") ?? "", /^"daily";r=/)
    assert.isTrue(reply.text.endsWith("data: [DONE]\n\n"))
  })

  it("shows one whole text after a first attempt that was cut", async () => {
    const ada = await backends.newUser()
    const reply = await ask(newChat(base, ada), uniquePrompt("[[length 600]] [[chunks 6 delay 100]] [[cut 3 times 1]]"))
    const [, stored] = await loadOf(ada, (reply.metadata as { readonly chatroomId: string }).chatroomId)
    assert.lengthOf(textOf(reply), 600)
    assert.strictEqual(textOf(reply), textOf(stored ?? assert.fail()))
    assert.lengthOf(
      reply.parts.filter(({ type }) => type === "text"),
      1
    )
  })

  it("goes on for a client that leaves in the middle, and is whole when it comes back", async () => {
    const ada = await backends.newUser()
    const prompt = uniquePrompt("[[length 600]] [[chunks 60 delay 100]]")
    const chat = newChat(base, ada)
    const asking = ask(chat, prompt)
    await until("120 characters", () => chat.text.length >= 120)
    await chat.stop()
    await asking
    assert.isBelow(chat.text.length, 600)
    const back = await loadChat(base, ada, chat.id)
    assert.strictEqual(back.messages.at(-1)?.role, "user")
    await back.resumeStream()
    assert.lengthOf(back.text, 600)
    assert.lengthOf(callsAbout(backends, prompt), 1)
    // Nothing runs now.
    assert.isNull(await transportOf(base, ada.token).reconnectToStream({ chatId: chat.id }))
    assert.deepStrictEqual(plain(back.messages.at(-1)), (await loadOf(ada, chat.id)).at(-1))
  })

  it("is whole for a client that leaves at every event", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const sending = chat.sendMessage(
      { text: uniquePrompt("[[thoughts 6]] [[length 300]] [[chunks 12 delay 150]] [[cut 5 times 1]]") },
      { body: { settings: { thinking: { summaries: true } } } }
    )
    await until("the question", async () => (await ada.call("GET", `/ai/chat/${chat.id}`)).status === 200)
    await chat.stop()
    await sending
    const transport = transportOf(base, ada.token)
    let events = 0
    let last: UIMessage | undefined
    for (let connections = 0; ; connections++) {
      const aborted = new AbortController()
      const stream = await transport.reconnectToStream({ chatId: chat.id, abortSignal: aborted.signal } as never)
      if (stream === null) break
      // Each connection reads one event more than the one before it.
      let left = ++events
      let isCut = false
      const cut = stream.pipeThrough(
        new TransformStream({
          transform: (chunk, controller) => {
            if (left-- > 0) controller.enqueue(chunk)
            else {
              isCut = true
              controller.terminate()
            }
          }
        })
      )
      for await (const message of readUIMessageStream({ stream: cut })) last = message
      aborted.abort()
      if (!isCut) break
      assert.isBelow(connections, 1_000)
    }
    const stored = (await loadOf(ada, chat.id)).at(-1) ?? assert.fail()
    assert.isAbove(events, 5)
    const seen = last ?? assert.fail("nothing was read")
    assert.deepStrictEqual([textOf(seen), thoughtsOf(seen)], [textOf(stored), thoughtsOf(stored)])
    assert.lengthOf(textOf(stored), 300)
  })

  it("shows a blocked question as an error, with its reason in the message", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const reply = await ask(chat, "[[blocked SAFETY]] bad")
    assert.strictEqual(chat.status, "error")
    const { error } = reply.metadata as { readonly error: { readonly code: string; readonly message: string } }
    assert.strictEqual(error.code, "blocked")
    assert.strictEqual(chat.errors[0]?.message, error.message)
    assert.strictEqual(chat.finishes[0]?.isError, true)
  })

  it("shows the model's thoughts, and the sources of a reply", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage(
      { text: uniquePrompt("[[thoughts 4]] [[search looms|engines]] [[length 200]]") },
      { body: { settings: { thinking: { summaries: true }, tools: ["search"] } } }
    )
    const stored = (await loadOf(ada, chat.id)).at(-1) ?? assert.fail()
    assert.match(thoughtsOf(stored), /^\(1 of 4\)/)
    const shown = chat.messages.at(-1) ?? assert.fail()
    assert.strictEqual(thoughtsOf(shown), thoughtsOf(stored))
    const sourcesOf = ({ parts }: UIMessage) =>
      parts.filter(({ type }) => type === "source-url").map((part) => JSON.stringify(part))
    assert.isNotEmpty(sourcesOf(shown))
    assert.deepStrictEqual(sourcesOf(shown), sourcesOf(stored))
  })

  it("gets a refusal as problem+json, and leaves no room behind", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage({ text: "x".repeat(32_001) })
    assert.deepInclude(problemOf(chat.errors), { status: 400, code: "validation_failed" })
    const model = newChat(base, ada)
    await model.sendMessage({ text: "Hello" }, { body: { settings: { model: "gpt-5" } } })
    assert.deepInclude(problemOf(model.errors), { status: 400, code: "validation_failed" })
    assert.deepStrictEqual((await ada.call("GET", "/chatroom")).body.data, [])
    assert.deepStrictEqual(await backends.database.query("select chatrooms from users where id = $1", [ada.userId]), [
      { chatrooms: 0 }
    ])
  })

  it("is refused without a token, with another's room, and with an id that is not a UUID", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const hers = newChat(base, ada)
    await ask(hers, "[[say hers]]")
    const his = newChat(base, bob, { id: hers.id })
    await his.sendMessage({ text: "[[say his]]" })
    assert.deepInclude(problemOf(his.errors), { status: 404, code: "chatroom_not_found" })
    for (const [method, path] of [
      ["GET", `/ai/chat/${hers.id}`],
      ["GET", `/ai/chat/${hers.id}/stream`],
      ["POST", `/ai/chat/${hers.id}/stop`]
    ] as const) {
      assertProblem(await bob.call(method, path), 404, "chatroom_not_found")
      assertProblem(await bob.call(method, path.replace(hers.id, unknownId)), 404, "chatroom_not_found")
    }
    assert.strictEqual(await usedToday(bob), 0)
    const stranger = newChat(base, { token: "" })
    await stranger.sendMessage({ text: "Hello" })
    assert.deepInclude(problemOf(stranger.errors), { status: 401 })
    const short = newChat(base, ada, { id: "nGx3kQ8sVb2Yh3k1" })
    await short.sendMessage({ text: "Hello" })
    assert.deepInclude(problemOf(short.errors), { status: 400 })
    assert.strictEqual(problemOf(short.errors).errors[0].path, "/id")
  })

  it("works with an API key, and ends when the key or the session is revoked in the middle", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const made = await ada.call("POST", "/user/keys", { name: "AI SDK" })
    const revocations = [
      [made.body.key as string, () => ada.call("DELETE", `/user/keys/${made.body.id}`)],
      [bob.token, () => bob.call("POST", "/auth/logout", { scope: "local" })]
    ] as const
    for (const [token, revoke] of revocations) {
      const chat = newChat(base, { token })
      const asking = chat.sendMessage({ text: uniquePrompt("[[length 4000]] [[chunks 400 delay 50]]") })
      await until("some text", () => chat.text.length > 0)
      assert.strictEqual((await revoke()).status, 204)
      await asking
      assert.strictEqual(chat.status, "error")
      assert.isBelow(chat.text.length, 4_000)
      await chat.resumeStream()
      assert.deepInclude(problemOf(chat.errors.slice(-1)), { status: 401 })
    }
  })

  it("refuses a question of a user who has five streams open, and does not accept it", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const asking = chat.sendMessage({ text: uniquePrompt("[[latency 60000]]") })
    await until("the question", async () => (await ada.call("GET", `/ai/chat/${chat.id}`)).status === 200)
    const transport = transportOf(base, ada.token)
    for (let open = 1; open < 5; open++) assert.isNotNull(await transport.reconnectToStream({ chatId: chat.id }))
    const other = newChat(base, ada)
    await other.sendMessage({ text: "Hello" })
    assert.deepInclude(problemOf(other.errors), { status: 429, code: "too_many_streams" })
    assert.strictEqual(await usedToday(ada), 1)
    assertProblem(await ada.call("GET", `/ai/chat/${other.id}`), 404, "chatroom_not_found")
    assert.strictEqual((await ada.call("POST", `/ai/chat/${chat.id}/stop`)).status, 200)
    await asking
  })

  it("stops the call of the model by its own route, and not by hanging up", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const prompt = uniquePrompt("[[length 4000]] [[chunks 400 delay 50]]")
    const asking = chat.sendMessage({ text: prompt })
    await until("some text", () => chat.text.length > 0)
    const other = await loadChat(base, ada, chat.id)
    const watching = other.resumeStream()
    await chat.stop()
    await asking
    await until("text for the other client", () => other.text.length > 100)
    assert.isFalse(callsAbout(backends, prompt)[0]?.aborted)
    const stopped = await ada.call("POST", `/ai/chat/${chat.id}/stop`)
    assert.strictEqual(stopped.status, 200, stopped.text)
    assert.strictEqual(stopped.body.status, "cancelled")
    await watching
    assert.deepStrictEqual([other.status, other.text], ["ready", stopped.body.content])
    assert.deepInclude(other.messages.at(-1)?.metadata, { status: "cancelled" })
    await until("the end of the call", () => callsAbout(backends, prompt)[0]?.aborted)
    assertProblem(await ada.call("POST", `/ai/chat/${chat.id}/stop`), 409, "already_finished")
  })

  it("loads the newest messages, and those before them", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    for (const word of ["one", "two", "three"]) await ask(chat, `[[say ${word}]]`)
    const newest = (await ada.call("GET", `/ai/chat/${chat.id}?limit=3`)).body
    assert.deepStrictEqual(newest.map(textOf), ["two", "[[say three]]", "three"])
    const before = (await ada.call("GET", `/ai/chat/${chat.id}?limit=3&before=${newest[0].id}`)).body
    assert.deepStrictEqual(before.map(textOf), ["[[say one]]", "one", "[[say two]]"])
    assertProblem(await ada.call("GET", `/ai/chat/${chat.id}?limit=0`), 400, "validation_failed")
  })
})
