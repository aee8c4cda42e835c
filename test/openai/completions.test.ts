import fc from "fast-check"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type OpenAI from "openai"
import { request } from "../support/Client.ts"
import { callsTo, turnsOf } from "../support/geminiCalls.ts"
import { uniquePrompt, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import type { Person } from "../support/Client.ts"
import { clientAt, model, newKey, readStream, refusalOf, user } from "./Clients.ts"

let backends: TestBackends
let base: string
let ada: Person
let client: OpenAI

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
  base = backends.urls[0] ?? ""
  ada = await backends.newUser()
  client = clientAt(base, (await newKey(ada)).key)
})
afterAll(() => backends.stop())

const create = (content: string, more: object = {}) => client.chat.completions.create({ model, messages: user(content), ...more })
const stream = (content: string, more: object = {}) =>
  client.chat.completions.create({ model, messages: user(content), stream: true, ...more })
const post = (body: unknown, headers: Record<string, string> = {}) =>
  request(base, "POST", "/v1/chat/completions", { token: ada.token, body, headers })
/** The body of the only call of the model about a prompt. */
const callAbout = (prompt: string) => {
  const calls = callsTo(backends.gemini, prompt)
  assert.lengthOf(calls, 1)
  // oxlint-disable-next-line typescript/no-explicit-any -- what came over the wire is what the tests are about
  return calls[0]?.body as any
}
const stored = async (prompt: string) => {
  const [row] = await backends.database.query(
    `select r.status, r.content, r.attempt from messages q join messages r on r.user_id = q.user_id and r.reply_to = q.id
     where q.user_id = $1 and q.content = $2`,
    [ada.userId, prompt]
  )
  return row as { status: string; content: string; attempt: number }
}

describe("GET /v1/models", () => {
  it("lists the models that the user may choose", async () => {
    const found = await Array.fromAsync(client.models.list())
    const known = (await ada.call("GET", "/models")).body.data.filter((each: { available: boolean }) => each.available)
    assert.deepStrictEqual(
      found.map(({ id }) => id),
      known.map(({ id }: { id: string }) => id)
    )
    assert.deepInclude(found[0], { id: model, object: "model", created: 1_788_307_200, owned_by: "google", shutdown_date: null })
  })

  it("shows one model, and 404 for one that the user cannot choose", async () => {
    assert.strictEqual((await client.models.retrieve(model)).id, model)
    for (const id of ["gpt-5", "gemini-3.1-pro-preview", "a/b"]) {
      assert.deepInclude(await refusalOf(client.models.retrieve(id)), { status: 404, code: "model_not_found", param: "model" })
    }
  })
})

describe("POST /v1/chat/completions", () => {
  it("answers a question", async () => {
    const used = await usedToday(ada)
    const prompt = uniquePrompt("[[say Because of the light.]] Why?")
    const answer = await create(prompt)
    const [choice] = answer.choices
    assert.match(answer.id, /^chatcmpl-[\da-f-]{36}$/)
    assert.deepInclude(answer, { object: "chat.completion", model })
    assert.isAtLeast(answer.created, 1_700_000_000)
    assert.deepStrictEqual(choice?.message, { role: "assistant", content: "Because of the light.", refusal: null })
    assert.strictEqual(choice?.finish_reason, "stop")
    const { completion_tokens: completion = 0, prompt_tokens: asked = 0, total_tokens: total } = answer.usage ?? {}
    assert.isAbove(asked, 0)
    assert.isAbove(completion, 0)
    assert.strictEqual(total, asked + completion)
    assert.strictEqual(await usedToday(ada), used + 1)
    assert.deepInclude(await stored(prompt), { status: "completed", content: "Because of the light." })
  })

  it("streams an answer, and its usage when asked", async () => {
    const prompt = uniquePrompt("[[length 400]] [[chunks 8 delay 5]] Tell me")
    const read = await readStream(await stream(prompt, { stream_options: { include_usage: true } }))
    assert.isUndefined(read.error)
    assert.strictEqual(read.text, (await stored(prompt)).content)
    assert.deepStrictEqual(read.finishes, ["stop"])
    assert.deepStrictEqual(read.chunks[0]?.choices[0]?.delta, { role: "assistant", content: "" })
    const last = read.chunks.at(-1)
    assert.deepStrictEqual(last?.choices, [])
    assert.isAbove(last?.usage?.total_tokens ?? 0, 0)
    for (const chunk of read.chunks) {
      assert.deepInclude(chunk, { id: read.chunks[0]?.id ?? "", model, object: "chat.completion.chunk" })
    }
    const plain = await readStream(await stream(uniquePrompt("[[say short]]")))
    assert.isFalse(plain.chunks.some((chunk) => "usage" in chunk))
    assert.deepStrictEqual(plain.finishes, ["stop"])
  })

  it("sends every turn to the model, joins neighbours of one role, and puts system messages first", async () => {
    const prompt = uniquePrompt("And last?")
    const answer = await client.chat.completions.create({
      model,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "developer", content: [{ type: "text", text: "Use English." }] },
        { role: "user", content: "One" },
        {
          role: "user",
          content: [
            { type: "text", text: "two" },
            { type: "text", text: "three" }
          ]
        },
        { role: "assistant", content: "First" },
        { role: "assistant", content: [{ type: "text", text: "second" }] },
        { role: "user", content: prompt }
      ],
      temperature: 0.5,
      top_p: 0.25,
      max_completion_tokens: 100,
      stop: ["(turn"],
      reasoning_effort: "none",
      user: "ada",
      metadata: { purpose: "test" },
      n: 1,
      frequency_penalty: 0
    })
    assert.deepStrictEqual(turnsOf(callsTo(backends.gemini, prompt)[0]), [
      "user: One\n\ntwo\n\nthree",
      "model: First\n\nsecond",
      `user: ${prompt}`
    ])
    const { generationConfig, systemInstruction } = callAbout(prompt)
    assert.strictEqual(systemInstruction.parts[0].text, "Be brief.\n\nUse English.")
    assert.deepStrictEqual(generationConfig, {
      temperature: 0.5,
      topP: 0.25,
      maxOutputTokens: 100,
      stopSequences: ["(turn"],
      thinkingConfig: { thinkingLevel: "LOW" }
    })
    assert.strictEqual(
      answer.choices[0]?.message.content,
      `You said: "${prompt}". My instructions begin "Be brief. Use English.". `
    )
  })

  it("answers in JSON that fits a schema", async () => {
    const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] }
    const format = { type: "json_schema", json_schema: { name: "person", schema, strict: true } }
    const prompt = uniquePrompt("Who wove?")
    const answer = await create(prompt, { response_format: format })
    assert.hasAllKeys(JSON.parse(answer.choices[0]?.message.content ?? ""), ["name"])
    assert.deepStrictEqual(callAbout(prompt).generationConfig.responseJsonSchema, schema)
    const any = uniquePrompt("[[say {}]]")
    assert.strictEqual((await create(any, { response_format: { type: "json_object" } })).choices[0]?.message.content, "{}")
    assert.strictEqual(callAbout(any).generationConfig.responseMimeType, "application/json")
    const wrong = { type: "json_schema", json_schema: { name: "x", schema: { type: "object", if: {} } } }
    assert.deepInclude(await refusalOf(create("x", { response_format: wrong })), {
      status: 400,
      code: "invalid_value",
      param: "response_format.json_schema.schema.if"
    })
  })

  it("says `length` when the answer is cut, and when no token was left for text", async () => {
    assert.strictEqual((await create(uniquePrompt("[[finish MAX_TOKENS 2]]"))).choices[0]?.finish_reason, "length")
    const none = await create(uniquePrompt("[[finish MAX_TOKENS]]"))
    assert.deepInclude(none.choices[0], { finish_reason: "length" })
    assert.strictEqual(none.choices[0]?.message.content, "")
  })

  it("says `content_filter` for a blocked question, streamed or not, and for an answer that is blocked midway", async () => {
    const blocked = await create(uniquePrompt("[[blocked SAFETY]]"))
    assert.deepInclude(blocked.choices[0], { finish_reason: "content_filter" })
    const read = await readStream(await stream(uniquePrompt("[[blocked SAFETY]]")))
    assert.deepStrictEqual([read.finishes, read.text, read.error], [["content_filter"], "", undefined])
    const midway = await readStream(await stream(uniquePrompt("[[finish SAFETY 3]] [[length 200]] [[chunks 4 delay 100]]")))
    assert.deepStrictEqual([midway.finishes, midway.error], [["content_filter"], undefined])
  })

  it("answers with the status of a failure before the first text, streamed or not", async () => {
    const once = clientAt(base, ada.token, { maxRetries: 0 })
    for (const streamed of [false, true]) {
      const ask = (content: string) =>
        once.chat.completions.create({ model, messages: user(uniquePrompt(content)), stream: streamed })
      assert.deepInclude(await refusalOf(ask("[[status 400]]")), { status: 500, type: "server_error", code: "server_error" })
      assert.deepInclude(await refusalOf(ask("[[empty]]")), { status: 500, code: "server_error" })
    }
    const exhausted = await refusalOf(create(uniquePrompt("[[status 429 perday]]")))
    assert.deepInclude(exhausted, { status: 503, code: "server_error" })
    assert.strictEqual(exhausted.headers?.get("x-should-retry"), "false")
  })
})

describe("an attempt that is lost", () => {
  it("is not seen when the next attempt repeats its text", async () => {
    const prompt = uniquePrompt("[[length 300]] [[chunks 6 delay 60]] [[cut 3 times 1]] Again")
    const read = await readStream(await stream(prompt))
    const { attempt, content } = await stored(prompt)
    assert.deepStrictEqual([read.error, attempt], [undefined, 2])
    assert.strictEqual(read.text, content)
    assert.deepStrictEqual(read.finishes, ["stop"])
  })

  it("ends the stream with `restarted` when the next attempt differs", async () => {
    const prompt = uniquePrompt("[[clock]] [[chunks 6 delay 100]] [[cut 3 times 1]] When")
    const read = await readStream(await stream(prompt))
    assert.isNotEmpty(read.text)
    assert.deepInclude(read.error as object, { code: "restarted", type: "server_error" })
    assert.deepStrictEqual(read.finishes, [])
  })

  it("is one whole text for a client that does not stream", async () => {
    const prompt = uniquePrompt("[[clock]] [[cut 2 times 1]] When")
    assert.strictEqual((await create(prompt)).choices[0]?.message.content, (await stored(prompt)).content)
  })
})

describe("the joined chunks", () => {
  it("are the stored content, for any text and any cuts", async () => {
    const shape = fc.record({
      length: fc.integer({ min: 1, max: 3_000 }),
      chunks: fc.integer({ min: 1, max: 20 }),
      unicode: fc.boolean(),
      cut: fc.option(fc.integer({ min: 0, max: 5 }), { freq: 3 })
    })
    await fc.assert(
      fc.asyncProperty(shape, async ({ chunks, cut, length, unicode }) => {
        const words = [
          `[[length ${length}]]`,
          `[[chunks ${chunks} delay 3]]`,
          unicode ? "[[unicode]]" : "",
          cut === null ? "" : `[[cut ${cut} times 1]]`
        ]
        const prompt = uniquePrompt(words.join(" "))
        const read = await readStream(await stream(prompt))
        const { attempt, content } = await stored(prompt)
        assert.deepStrictEqual([read.error, read.finishes], [undefined, ["stop"]], prompt)
        assert.strictEqual(read.text, content)
        assert.strictEqual(content.length, length)
        assert.strictEqual(attempt, cut === null ? 1 : 2)
      }),
      { seed: 1, numRuns: 10 }
    )
  })
})

describe("a client that disconnects", () => {
  const awaitCancelled = async (prompt: string) => {
    await until("the call is aborted", () => callsTo(backends.gemini, prompt)[0]?.aborted)
    await until("the reply is cancelled", async () => (await stored(prompt)).status === "cancelled")
  }

  it("cancels the model's call of a stream", async () => {
    const prompt = uniquePrompt("[[length 4000]] [[chunks 400 delay 50]]")
    const controller = new AbortController()
    const request = client.chat.completions.create({ model, messages: user(prompt), stream: true }, { signal: controller.signal })
    await readStream(await request, (text) => text.length > 20 && controller.abort())
    await awaitCancelled(prompt)
    assert.isAbove((await stored(prompt)).content.length, 0)
  })

  it("cancels it before the first text, and when it does not stream", async () => {
    for (const streamed of [true, false]) {
      const prompt = uniquePrompt("[[latency 30000]]")
      const controller = new AbortController()
      const made = client.chat.completions.create(
        { model, messages: user(prompt), stream: streamed },
        { signal: controller.signal }
      )
      const failed = made.then(
        () => "answered",
        () => "aborted"
      )
      await until("the model is asked", () => callsTo(backends.gemini, prompt).length > 0)
      controller.abort()
      assert.strictEqual(await failed, "aborted")
      await awaitCancelled(prompt)
    }
  })

  it("gets its answer with the same idempotency key", async () => {
    const prompt = uniquePrompt("[[latency 1000]] [[say kept]]")
    const controller = new AbortController()
    const options = { headers: { "idempotency-key": "gone" }, signal: controller.signal }
    const made = client.chat.completions.create({ model, messages: user(prompt) }, options).catch(() => undefined)
    await until("the model is asked", () => callsTo(backends.gemini, prompt).length > 0)
    controller.abort()
    await made
    const used = await usedToday(ada)
    const again = await post({ model, messages: user(prompt) }, { "idempotency-key": "gone" })
    assert.strictEqual(again.body.choices[0].message.content, "kept")
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    const other = await post({ model, messages: user("another") }, { "idempotency-key": "gone" })
    assert.deepInclude(other.body.error, { code: "idempotency_key_reused" })
    assert.strictEqual(await usedToday(ada), used)
    assert.lengthOf(callsTo(backends.gemini, prompt), 1)
  })
})

describe("a request that is refused", () => {
  const cases: ReadonlyArray<readonly [name: string, body: object, code: string, param: string | null]> = [
    ["two answers", { n: 2 }, "unsupported_parameter", "n"],
    ["tools", { tools: [{ type: "function" }] }, "unsupported_parameter", "tools"],
    ["functions", { functions: [{ name: "f" }] }, "unsupported_parameter", "functions"],
    ["logprobs", { logprobs: true }, "unsupported_parameter", "logprobs"],
    ["audio", { audio: { voice: "x" } }, "unsupported_parameter", "audio"],
    ["seed", { seed: 1 }, "unsupported_parameter", "seed"],
    ["an unknown parameter", { temprature: 1 }, "unknown_parameter", "temprature"],
    ["a wrong type", { temperature: "hot" }, "invalid_value", "temperature"],
    ["five stop texts", { stop: ["a", "b", "c", "d", "e"] }, "invalid_value", "stop"],
    ["no messages", { messages: [] }, "invalid_value", "messages"],
    ["another model's effort", { reasoning_effort: "xhigh" }, "invalid_value", "reasoning_effort"],
    ["a model that does not exist", { model: "gpt-5" }, "model_not_found", "model"],
    ["a role of tools", { messages: [{ role: "tool", content: "x" }] }, "invalid_value", "messages[0].role"],
    ["a blank message", { messages: user(" ") }, "invalid_value", "messages[0].content"],
    [
      "a call of a tool",
      { messages: [...user("x"), { role: "assistant", content: null, tool_calls: [{ id: "1" }] }, ...user("y")] },
      "unsupported_parameter",
      "messages[1].tool_calls"
    ],
    [
      "a last message of the assistant's",
      { messages: [...user("x"), { role: "assistant", content: "y" }] },
      "invalid_value",
      "messages"
    ],
    [
      "a first message of the assistant's",
      { messages: [{ role: "assistant", content: "y" }, ...user("x")] },
      "invalid_value",
      "messages"
    ],
    [
      "a system message after others",
      { messages: [...user("x"), { role: "system", content: "y" }, ...user("z")] },
      "invalid_value",
      "messages[1].role"
    ],
    [
      "an address that would have to be fetched",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/x.png" } }] }] },
      "invalid_value",
      "messages[0].content[0].image_url.url"
    ],
    ["a context that is too long", { messages: user("x ".repeat(100_000)) }, "context_length_exceeded", "messages"]
  ]

  it.each(cases)("names the parameter and takes nothing: %s", async (_, more, code, param) => {
    const used = await usedToday(ada)
    const refused = await post({ model, messages: user("x"), ...more })
    assert.strictEqual(refused.status, code === "model_not_found" ? 404 : 400, refused.text)
    assert.strictEqual(refused.headers.get("content-type"), "application/json")
    assert.isNotNull(refused.headers.get("x-request-id"))
    assert.hasAllKeys(refused.body, ["error"])
    assert.deepStrictEqual(refused.body.error, {
      message: refused.body.error.message,
      type: "invalid_request_error",
      param,
      code
    })
    assert.isNotEmpty(refused.body.error.message)
    assert.strictEqual(await usedToday(ada), used)
  })

  it("has OpenAI's form wherever it is refused", async () => {
    const refuse = async (
      status: number,
      code: string,
      made: Promise<{ status: number; body: { error: object }; text: string }>
    ) => {
      const { body, status: actual, text } = await made
      assert.strictEqual(actual, status, text)
      assert.hasAllKeys(body.error, ["message", "type", "param", "code"])
      assert.deepInclude(body.error, { code })
    }
    const at = (method: string, path: string, options: Parameters<typeof request>[3] = {}) => request(base, method, path, options)
    await refuse(401, "invalid_api_key", at("GET", "/v1/models"))
    await refuse(401, "invalid_api_key", at("GET", "/v1/models", { token: "gcb_unknown" }))
    await refuse(404, "not_found", at("POST", "/v1/responses", { token: ada.token, body: {} }))
    await refuse(404, "not_found", at("GET", "/v1"))
    await refuse(405, "method_not_allowed", at("GET", "/v1/chat/completions", { token: ada.token }))
    await refuse(413, "payload_too_large", post("x".repeat(1_100_000)))
    await refuse(415, "unsupported_media_type", post("{}", { "content-type": "text/plain" }))
    await refuse(400, "bad_json", post("{"))
    assert.strictEqual((await at("GET", "/v11")).headers.get("content-type"), "application/problem+json")
    assert.strictEqual((await at("GET", "/v1")).headers.get("www-authenticate"), null)
    assert.isNotNull((await at("GET", "/v1/models")).headers.get("www-authenticate"))
  })

  it("takes a body of almost 1 MiB", async () => {
    const refused = await post({ model, messages: user("x".repeat(1_000_000)) })
    assert.deepInclude(refused.body.error, { code: "context_length_exceeded" })
  })
})

describe("limits", () => {
  it("refuses once when the day's prompts are used up, without retries", async () => {
    const bob = await backends.newUser()
    await backends.database.query(
      `insert into usage_daily (quota_key, day, used, prompts)
       select quota_key, (now() at time zone 'utc')::date, 1000, 1000 from users where id = $1`,
      [bob.userId]
    )
    const seen: Array<string> = []
    const counted = clientAt(base, bob.token).withOptions({
      fetch: (url, init) => {
        seen.push(String(url))
        return fetch(url, init)
      }
    })
    const prompt = uniquePrompt("over")
    const refused = await refusalOf(counted.chat.completions.create({ model, messages: user(prompt) }))
    assert.deepInclude(refused, { status: 429, code: "insufficient_quota", type: "insufficient_quota" })
    assert.strictEqual(refused.headers?.get("x-should-retry"), "false")
    assert.match(refused.headers?.get("retry-after") ?? "", /^\d+$/)
    assert.lengthOf(seen, 1)
    assert.lengthOf(callsTo(backends.gemini, prompt), 0)
  })

  it("refuses the 21st completion that a user has in progress in a process", async () => {
    const bob = await backends.newUser()
    const controller = new AbortController()
    const bobs = clientAt(base, bob.token, { maxRetries: 0 })
    const prompt = uniquePrompt("[[latency 60000]]")
    const waiting = times(20, () =>
      bobs.chat.completions.create({ model, messages: user(prompt) }, { signal: controller.signal }).catch(() => undefined)
    )
    await until("all are accepted", async () => {
      const [row] = await backends.database.query("select count(*)::int as n from chatrooms where user_id = $1", [bob.userId])
      return row?.["n"] === 20
    })
    const refused = await refusalOf(bobs.chat.completions.create({ model, messages: user("one more") }))
    assert.deepInclude(refused, { status: 429, code: "rate_limit_exceeded" })
    assert.isNull(refused.headers?.get("x-should-retry") ?? null)
    controller.abort()
    await Promise.all(waiting)
    await until("all are cancelled", async () => {
      const [row] = await backends.database.query(
        "select count(*)::int as n from messages where user_id = $1 and completed_at is null",
        [bob.userId]
      )
      return row?.["n"] === 0
    })
    const answer = await bobs.chat.completions.create({ model, messages: user(uniquePrompt("[[say free]]")) })
    assert.strictEqual(answer.choices[0]?.message.content, "free")
  })
})

describe("an API key", () => {
  it("ends the stream when it is deleted, and cancels the answer", async () => {
    const { id, key } = await newKey(ada)
    const prompt = uniquePrompt("[[length 4000]] [[chunks 400 delay 50]]")
    let isDeleted = false
    const read = await readStream(
      await clientAt(base, key).chat.completions.create({ model, messages: user(prompt), stream: true }),
      async () => {
        if (!isDeleted) await ada.call("DELETE", `/user/keys/${id}`)
        isDeleted = true
      }
    )
    assert.deepInclude(read.error as object, { code: "invalid_api_key" })
    await until("the reply is cancelled", async () => (await stored(prompt)).status === "cancelled")
    assert.deepInclude(await refusalOf(clientAt(base, key).models.list()), { status: 401, code: "invalid_api_key" })
  })

  it("ends a request that waits for the whole answer, too", async () => {
    const { id, key } = await newKey(ada)
    const prompt = uniquePrompt("[[latency 30000]]")
    const refused = refusalOf(clientAt(base, key).chat.completions.create({ model, messages: user(prompt) }))
    await until("the model is asked", () => callsTo(backends.gemini, prompt).length > 0)
    await ada.call("DELETE", `/user/keys/${id}`)
    assert.deepInclude(await refused, { status: 401, code: "invalid_api_key" })
    await until("the reply is cancelled", async () => (await stored(prompt)).status === "cancelled")
  })

  it("is refused where keys are not taken, in the form of that route", async () => {
    const { key } = await newKey(ada)
    const refused = await request(base, "GET", "/user/me", { token: key })
    assert.strictEqual(`${refused.status} ${refused.body.code}`, "403 key_not_allowed")
  })
})
