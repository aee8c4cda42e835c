import { ApiError, GoogleGenAI, ThinkingLevel } from "@google/genai"
import type { Content, GenerateContentConfig, GenerateContentResponse } from "@google/genai"
import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeEach, describe, it } from "vitest"
import { RequestLog } from "../../../simulators/gemini/RequestLog.ts"
import { startGeminiSimulator } from "../../../simulators/gemini/GeminiSimulator.ts"
import type { LogEntry } from "../../../simulators/gemini/GeminiSimulator.ts"
import { startMain } from "../startMain.ts"
import { until } from "../../support/wait.ts"

const model = "gemini-3.8-flash"
const simulator = await startGeminiSimulator({ chunkMillis: 1 })
const makeClient = (apiKey = "key", baseUrl = simulator.url, apiVersion = "v1beta") =>
  new GoogleGenAI({ apiKey, apiVersion, httpOptions: { baseUrl } })
const gemini = makeClient()

beforeEach(() => simulator.reset())
afterAll(() => simulator.stop())

interface Outcome {
  readonly text: string
  readonly chunks: ReadonlyArray<GenerateContentResponse>
  readonly error: unknown
}

const stream = async (contents: string | Array<Content>, config: GenerateContentConfig = {}): Promise<Outcome> => {
  const chunks: Array<GenerateContentResponse> = []
  let error: unknown
  try {
    for await (const chunk of await gemini.models.generateContentStream({ model, contents, config })) chunks.push(chunk)
  } catch (cause) {
    error = cause
  }
  return { text: chunks.map((chunk) => chunk.text ?? "").join(""), chunks, error }
}

const whole = (contents: string, config: GenerateContentConfig = {}) => gemini.models.generateContent({ model, contents, config })

const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (value) => assert.fail(`answered ${JSON.stringify(value)}`),
    (error: unknown) => error
  )

const finishOf = ({ chunks }: Outcome) => chunks.at(-1)?.candidates?.[0]?.finishReason

const apiError = (error: unknown): ApiError => {
  assert.instanceOf(error, ApiError)
  return error
}

const post = async (path: string, body: string, headers: Record<string, string> = { "x-goog-api-key": "key" }) => {
  const response = await fetch(simulator.url + path, { method: "POST", body, headers })
  return { status: response.status, json: JSON.parse(await response.text()), type: response.headers.get("content-type") }
}

const control = async (method: string, path: string, body?: object) => {
  const response = await fetch(`${simulator.url}/__control/${path}`, {
    method,
    ...(body ? { body: JSON.stringify(body) } : {})
  })
  return { status: response.status, json: await response.json() }
}

const newest = (): LogEntry => {
  const entry = simulator.log().at(-1)
  assert.isDefined(entry)
  return entry
}

/** A request with these settings. */
const asked = (generationConfig: object) => ({ contents: [user("a")], generationConfig })

const user = (text: string): Content => ({ role: "user", parts: [{ text }] })
const answered = (text: string): Content => ({ role: "model", parts: [{ text }] })

describe("a reply of the Gemini simulator", () => {
  it("echoes the last turn, counts the turns and names the model", async () => {
    const { text } = await stream([user("one"), answered("two"), user('what is "three"?\n')])
    assert.strictEqual(text, `You said: "what is "three"?\n". (turn 3, ${model})`)
  })

  it("begins with the first words of the system instruction when there is one", async () => {
    const { text } = await stream("hello", { systemInstruction: "Answer as a pirate of the old seas." })
    assert.include(text, 'My instructions begin "Answer as a pirate of".')
  })

  it("is the same text streamed and whole, now and later", async () => {
    const response = await whole("the same?")
    assert.strictEqual((await stream("the same?")).text, response.text)
    assert.strictEqual(response.candidates?.[0]?.finishReason, "STOP")
    assert.strictEqual(response.modelVersion, model)
    assert.match(response.responseId ?? "", /^simulated-\d+$/)
  })

  it("comes in chunks of which only the last has a finish reason, with counts that add up", async () => {
    const { chunks, text } = await stream("hello hello hello hello")
    assert.isAbove(chunks.length, 2)
    assert.deepStrictEqual(
      chunks.map((chunk) => chunk.candidates?.[0]?.finishReason),
      [...chunks.slice(1).map(() => undefined), "STOP"]
    )
    assert.deepStrictEqual(chunks.at(-1)?.usageMetadata, {
      promptTokenCount: 6,
      candidatesTokenCount: Math.ceil(text.length / 4),
      totalTokenCount: 6 + Math.ceil(text.length / 4)
    })
    assert.strictEqual(new Set(chunks.map(({ responseId }) => responseId)).size, 1)
  })

  it("is exactly the text of [[say]]", async () => {
    const { text } = await stream('please [[say  two  [spaces] & "quotes"\n]] now')
    assert.strictEqual(text, ' two  [spaces] & "quotes"\n')
  })

  it("has exactly the length of [[length]] and numbers every word once", async () => {
    const { text } = await stream("[[length 5000]] [[chunks 100 delay 0]]")
    assert.strictEqual(text.length, 5000)
    const numbers = [...text.matchAll(/[a-z]+(\d+) /g)].map(([, number]) => Number(number))
    assert.deepStrictEqual(
      numbers,
      numbers.map((_, index) => index)
    )
  })

  it.each([1, 2, 3, 7, 999])("keeps characters outside the basic plane whole in %i chunks", async (chunks) => {
    const reply = await stream(`[[unicode]] [[length 1000]] [[chunks ${chunks} delay 0]]`)
    assert.strictEqual(reply.text.length, 1000)
    assert.match(reply.text, /[\u{10000}-\u{10ffff}]/u)
    for (const chunk of reply.chunks) assert.isTrue((chunk.text ?? "").isWellFormed())
  })

  it("never ends in half a character", async () => {
    assert.strictEqual((await whole("[[unicode]] [[length 6]]")).text, "river.")
  })

  it("comes in as many chunks as [[chunks]] says, with its delay between them", async () => {
    const start = performance.now()
    assert.lengthOf((await stream("hi [[chunks 20 delay 10]]")).chunks, 20)
    assert.isAtLeast(performance.now() - start, 185)
  })

  it("limits its size whatever the prompt asks for", async () => {
    simulator.settings({ chunkMillis: 0 })
    assert.lengthOf((await whole("[[length 99999999]]")).text ?? "", 1_000_000)
    assert.lengthOf((await stream("[[chunks 99999999]]")).chunks, 10_000)
  })

  it("says that its model ends, with [[retires]]", async () => {
    const { chunks } = await stream("[[retires 2027-03-01T00:00:00Z]] hello hello hello")
    assert.isAbove(chunks.length, 1)
    for (const { modelStatus } of chunks) {
      assert.deepStrictEqual([modelStatus?.modelStage, modelStatus?.retirementTime], ["DEPRECATED", "2027-03-01T00:00:00Z"])
    }
    assert.isUndefined((await stream("hello")).chunks[0]?.modelStatus)
  })

  it("starts after [[latency]]", async () => {
    const start = performance.now()
    await whole("[[latency 120]]")
    assert.isAtLeast(performance.now() - start, 115)
  })

  it("shows thoughts apart from its text and counts them and cached tokens", async () => {
    const { chunks, text } = await stream("[[thoughts]] [[cached 3]] [[say Hi]]", { thinkingConfig: { includeThoughts: true } })
    assert.isTrue(chunks[0]?.candidates?.[0]?.content?.parts?.[0]?.thought)
    assert.strictEqual(text, "Hi")
    const usage = chunks.at(-1)?.usageMetadata
    assert.strictEqual(usage?.cachedContentTokenCount, 3)
    assert.strictEqual(usage?.thoughtsTokenCount, 14)
    assert.strictEqual(usage?.totalTokenCount, 9 + 1 + 14)
  })

  it("only counts thoughts that were not asked for", async () => {
    const { chunks, text } = await stream("[[thoughts]] [[say Hi]]")
    const parts = chunks.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? [])
    assert.deepStrictEqual([text, parts.filter(({ thought }) => thought)], ["Hi", []])
    assert.strictEqual(chunks.at(-1)?.usageMetadata?.thoughtsTokenCount, 14)
  })

  it("sends half of its thoughts before its text, and the others between the chunks", async () => {
    const { chunks } = await stream("[[thoughts 4]] [[chunks 3]]", { thinkingConfig: { includeThoughts: true } })
    const kinds = chunks.map((chunk) => (chunk.candidates?.[0]?.content?.parts?.[0]?.thought === true ? "thought" : "text"))
    assert.deepStrictEqual(kinds, ["thought", "thought", "text", "thought", "text", "thought", "text"])
    assert.strictEqual(chunks.at(-1)?.candidates?.[0]?.finishReason, "STOP")
  })

  it("refuses a level of thinking that the model does not have, and a level with a budget", async () => {
    const minimal = { thinkingConfig: { thinkingLevel: ThinkingLevel.MINIMAL } }
    const ask = (name: string, config: GenerateContentConfig) =>
      gemini.models.generateContent({ model: name, contents: "hi", config })
    assert.isDefined((await ask("gemini-3.5-flash", minimal)).text)
    for (const call of [
      ask("gemini-3.8-flash", minimal),
      ask("gemini-2.5-flash", { thinkingConfig: { thinkingLevel: ThinkingLevel.LOW } }),
      ask("gemini-3.8-flash", { thinkingConfig: { thinkingLevel: ThinkingLevel.LOW, thinkingBudget: 100 } })
    ]) {
      assert.propertyVal(await refusal(call), "status", 400)
    }
  })

  it("puts the time of sending into each chunk of [[clock]]", async () => {
    const now = () => performance.timeOrigin + performance.now()
    const start = now()
    const { chunks, text } = await stream("[[clock]] [[chunks 5 delay 10]]")
    const end = now()
    assert.match(text, /^(@\d{13}\.\d{3};){5}$/)
    const sent = chunks.map((chunk) => Number(chunk.text?.slice(1, -1)))
    assert.deepStrictEqual(
      sent,
      sent.toSorted((a, b) => a - b)
    )
    assert.isAtLeast(sent[0] ?? 0, start - 1)
    assert.isAtMost(sent[4] ?? Infinity, end + 1)
    assert.isAtLeast((sent[4] ?? 0) - (sent[0] ?? 0), 35)
  })

  it("is whole for two hundred clients at a time", async () => {
    // A busy machine takes seconds to connect two hundred clients; no answer may begin before the last one has asked.
    const prompts = Array.from({ length: 200 }, (_, index) => `[[length ${500 + index}]] [[unicode]] [[latency 5000]]`)
    const texts = await Promise.all(prompts.map(async (prompt) => (await stream(prompt)).text))
    assert.deepStrictEqual(
      texts.map((text) => text.length),
      prompts.map((_, index) => 500 + index)
    )
    assert.isTrue(texts.every((text) => texts[199]?.startsWith(text.slice(0, -1))))
    assert.strictEqual(simulator.stats().maxInFlight, 200)
  })
})

describe("the other routes of the Gemini simulator", () => {
  it("count tokens as generation does", async () => {
    const { totalTokens } = await gemini.models.countTokens({ model, contents: "How many tokens?" })
    assert.strictEqual(totalTokens, 4)
    assert.strictEqual((await whole("How many tokens?")).usageMetadata?.promptTokenCount, 4)
  })

  it("list and describe models", async () => {
    const listed = await gemini.models.list()
    assert.include(
      listed.page.map(({ name }) => name),
      `models/${model}`
    )
    assert.strictEqual((await gemini.models.get({ model: "gemini-9" })).name, "models/gemini-9")
  })

  it("are also served under v1", async () => {
    const { text } = await makeClient("key", simulator.url, "v1").models.generateContent({ model, contents: "[[say v1]]" })
    assert.strictEqual(text, "v1")
  })

  it("answer an unknown path or method with Google's 404", async () => {
    for (const path of ["/v1beta/files", `/v1beta/models/${model}:embedContent`, "/v2/models"]) {
      const { json, status } = await post(path, "{}")
      assert.deepStrictEqual([status, json.error.status], [404, "NOT_FOUND"], path)
    }
  })
})

describe("the Gemini simulator refuses", () => {
  it.each<[string, string, unknown]>([
    ["a body that is not an object", "Root element", []],
    ["no contents", "contents is not specified", {}],
    ["empty contents", "contents is not specified", { contents: [] }],
    ["a role of neither user nor model", "valid role", { contents: [{ role: "system", parts: [{ text: "a" }] }] }],
    ["a turn without a role", "valid role", { contents: [{ parts: [{ text: "a" }] }] }],
    ["a turn without parts", "contents.parts must not be empty", { contents: [{ role: "user", parts: [] }] }],
    ["an empty text", "contents[0].parts[0].data", { contents: [user("")] }],
    ["a part without text", "contents[0].parts[0].data", { contents: [{ role: "user", parts: [{ inlineData: {} }] }] }],
    ["a model's first turn", "contents[0] is model", { contents: [answered("a"), user("b")] }],
    ["a model's last turn", "last turn", { contents: [user("a"), answered("b")] }],
    ["two turns of one role", "contents[1] is user", { contents: [user("a"), user("b"), user("c")] }],
    ["a temperature over 2", "range [0.0, 2.0]: 2.1", { contents: [user("a")], generationConfig: { temperature: 2.1 } }],
    ["a temperature under 0", "range [0.0, 2.0]: -0.1", { contents: [user("a")], generationConfig: { temperature: -0.1 } }],
    ["a top_p over 1", "top_p: TopP must be in the range [0.0, 1.0]: 1.5", asked({ topP: 1.5 })],
    ["six stop sequences", "stop_sequences: must be at most 5", asked({ stopSequences: ["a", "b", "c", "d", "e", "f"] })],
    ["an empty stop sequence", "stop_sequences: must be at most 5 texts that are not empty", asked({ stopSequences: [""] })],
    ["a temperature that is not a number", "TYPE_FLOAT", { contents: [user("a")], generationConfig: { temperature: "1" } }],
    ["a system instruction that is text", "system_instruction", { contents: [user("a")], systemInstruction: "be brief" }],
    [
      "an empty system instruction",
      "system_instruction.parts[0].data",
      {
        contents: [user("a")],
        systemInstruction: { parts: [{ text: "" }] }
      }
    ],
    ["an unknown field", 'Unknown name "temperature"', { contents: [user("a")], temperature: 1 }],
    ["a field of the SDK's alone", 'Unknown name "httpOptions"', { contents: [user("a")], httpOptions: {} }],
    ["a setting in snake case", `Unknown name "max_output_tokens" at 'generation_config'`, asked({ max_output_tokens: 9 })],
    ["a setting of another API", 'Unknown name "routingConfig"', asked({ routingConfig: {} })],
    ["half a token of text", "generation_config.max_output_tokens' (TYPE_INT32)", asked({ maxOutputTokens: 0.5 })],
    ["a level in lower case", "thinking_config.thinking_level' (TYPE_ENUM)", asked({ thinkingConfig: { thinkingLevel: "low" } })],
    ["an unknown thought", `"level" at 'generation_config.thinking_config'`, asked({ thinkingConfig: { level: "LOW" } })],
    ["null for a setting", "generation_config.temperature' (TYPE_FLOAT)", asked({ temperature: null })],
    [
      "an unknown field of a part",
      `"markdown" at 'contents[0].parts[0]'`,
      { contents: [{ role: "user", parts: [{ text: "a", markdown: true }] }] }
    ],
    ["an unknown field of a turn", `"name" at 'contents[0]'`, { contents: [{ ...user("a"), name: "Ada" }] }],
    ["an unknown tool", `"search" at 'tools[0]'`, { contents: [user("a")], tools: [{ search: {} }] }],
    [
      "a tool of another API",
      'Unknown name "enterpriseWebSearch"',
      { contents: [user("a")], tools: [{ enterpriseWebSearch: {} }] }
    ],
    [
      "an unknown threshold",
      "safety_settings[0].threshold' (TYPE_ENUM)",
      { contents: [user("a")], safetySettings: [{ category: "HARM_CATEGORY_HARASSMENT", threshold: "high" }] }
    ]
  ])("%s", async (_, message, body) => {
    const { json, status } = await post(`/v1beta/models/${model}:generateContent`, JSON.stringify(body))
    assert.deepStrictEqual([status, json.error.code, json.error.status], [400, 400, "INVALID_ARGUMENT"])
    assert.include(json.error.message, message)
  })

  it("malformed JSON", async () => {
    const { json, status } = await post(`/v1beta/models/${model}:generateContent`, '{"contents": [')
    assert.deepStrictEqual([status, json.error.status], [400, "INVALID_ARGUMENT"])
  })

  it("a request without a key", async () => {
    const { json, status } = await post(`/v1beta/models/${model}:generateContent`, "{}", {})
    assert.deepStrictEqual([status, json.error.status], [403, "PERMISSION_DENIED"])
  })

  it('the key "invalid"', async () => {
    const error = apiError(await refusal(makeClient("invalid").models.generateContent({ model, contents: "hi" })))
    assert.strictEqual(error.status, 400)
    assert.include(error.message, "API_KEY_INVALID")
  })

  it("a model that is not Gemini's", async () => {
    const error = apiError(await refusal(gemini.models.generateContent({ model: "gemma-9", contents: "hi" })))
    assert.strictEqual(error.status, 404)
    assert.strictEqual(JSON.parse(error.message).error.status, "NOT_FOUND")
  })

  it("a stream other than SSE", async () => {
    const body = JSON.stringify({ contents: [user("a")] })
    assert.strictEqual((await post(`/v1beta/models/${model}:streamGenerateContent`, body)).status, 400)
  })
})

describe("an HTTP fault of the Gemini simulator", () => {
  it.each([
    [400, "INVALID_ARGUMENT"],
    [403, "PERMISSION_DENIED"],
    [404, "NOT_FOUND"],
    [429, "RESOURCE_EXHAUSTED"],
    [500, "INTERNAL"],
    [503, "UNAVAILABLE"],
    [504, "DEADLINE_EXCEEDED"]
  ])("is a %i with Google's word %s", async (status, word) => {
    const error = apiError(await refusal(whole(`[[status ${status}]]`)))
    assert.strictEqual(error.status, status)
    assert.deepInclude(JSON.parse(error.message).error, { code: status, status: word })
  })

  it("comes as text/event-stream when a stream was asked for, so the SDK wraps its JSON in JSON", async () => {
    const { error } = await stream("[[status 503]]")
    assert.strictEqual(apiError(error).status, 503)
    const wrapper = JSON.parse(apiError(error).message).error
    assert.strictEqual(wrapper.status, "Service Unavailable")
    assert.strictEqual(JSON.parse(wrapper.message).error.status, "UNAVAILABLE")
  })

  it("names when to retry and which quota was hit", async () => {
    const { details } = JSON.parse(apiError(await refusal(whole("[[status 429 retry 2.5]]"))).message).error
    assert.strictEqual(details[0]["@type"], "type.googleapis.com/google.rpc.QuotaFailure")
    assert.include(details[0].violations[0].quotaId, "PerMinute")
    assert.deepStrictEqual(details[1], { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "2.5s" })
  })

  it("names a per-day quota", async () => {
    const { details } = JSON.parse(apiError(await refusal(whole("[[status 429 perday]]"))).message).error
    assert.lengthOf(details, 1)
    assert.include(details[0].violations[0].quotaId, "PerDay")
  })

  it("can be a proxy's page of HTML", async () => {
    const { error } = await stream("[[html]]")
    assert.strictEqual(apiError(error).status, 502)
    assert.include(JSON.parse(apiError(error).message).error.message, "<html")
  })

  it("ends after `times` requests with the same prompt", async () => {
    const prompt = "[[status 503 times 2]] [[status 429 times 1]] [[say fine]]"
    const statuses = []
    for (let attempt = 0; attempt < 5; attempt++) {
      const { error, text } = await stream(prompt)
      statuses.push(text || apiError(error).status)
    }
    assert.deepStrictEqual(statuses, [503, 503, 429, "fine", "fine"])
    assert.strictEqual(apiError((await stream(`${prompt} again`)).error).status, 503)
  })

  it("is triggered only by known words in the last turn", async () => {
    const words = "[[status soon]] [[status 503.5]] [[status 200]] [[finish]] [[flood]]"
    const { error, text } = await stream([user("[[status 503]]"), answered("[[hang]]"), user(words)])
    assert.isUndefined(error)
    assert.include(text, words)
  })
})

describe("the tools of the Gemini simulator", () => {
  const both = { tools: [{ googleSearch: {} }, { urlContext: {} }] }
  const words = "[[search tides|海]] [[url https://a.example/ error]] [[chunks 4 delay 1]] [[say 海は🌊青い。 Then. It ends.]]"

  it("ground the text, one chunk before its end, in bytes of UTF-8", async () => {
    const { chunks, text } = await stream(words, both)
    const grounded = chunks.filter((chunk) => chunk.candidates?.[0]?.groundingMetadata !== undefined)
    assert.deepStrictEqual(grounded, [chunks.at(-2)])
    const { groundingMetadata: metadata, urlContextMetadata } = grounded[0]?.candidates?.[0] ?? {}
    assert.deepStrictEqual(metadata?.webSearchQueries, ["tides", "海"])
    assert.deepStrictEqual(
      metadata?.groundingChunks?.map(({ web }) => web?.title),
      ["site0.example", "site1.example", undefined]
    )
    const bytes = Buffer.from(text)
    const segments = metadata?.groundingSupports?.map(({ segment }) => segment) ?? []
    assert.deepStrictEqual(
      segments.map((segment) => segment && bytes.toString("utf8", segment.startIndex ?? 0, segment.endIndex)),
      ["海は🌊青い。", "It ends.", undefined]
    )
    assert.isFalse(Object.hasOwn(segments[0] ?? {}, "startIndex"))
    assert.strictEqual(urlContextMetadata?.urlMetadata?.[0]?.urlRetrievalStatus, "URL_RETRIEVAL_STATUS_ERROR")
    assert.strictEqual(chunks.at(-1)?.usageMetadata?.toolUsePromptTokenCount, 400)
  })

  it("are used only where the request has them", async () => {
    for (const [config, searches, urls] of [
      [{}, false, false],
      [{ tools: [{ googleSearch: {} }] }, true, false],
      [{ tools: [{ urlContext: {} }] }, false, true]
    ] as const) {
      const candidates = (await stream(words, config as GenerateContentConfig)).chunks.map(
        ({ candidates: [first] = [] }) => first
      )
      assert.deepStrictEqual(
        [
          candidates.some((candidate) => candidate?.groundingMetadata !== undefined),
          candidates.some((candidate) => candidate?.urlContextMetadata !== undefined)
        ],
        [searches, urls]
      )
    }
    const unknown = await post(
      `/v1beta/models/${model}:generateContent`,
      JSON.stringify({ contents: [{ role: "user", parts: [{ text: "x" }] }], tools: [{ draw: {} }] })
    )
    assert.strictEqual(unknown.status, 400)
  })
})

describe("a connection fault of the Gemini simulator", () => {
  it("resets before any header", async () => {
    const { error } = await stream("[[reset]]")
    assert.instanceOf(error, TypeError)
    assert.strictEqual(error.message, "fetch failed")
    assert.deepInclude(newest(), { status: null, aborted: false })
  })

  it("cuts the stream without a finish reason, which the SDK does not notice", async () => {
    const outcome = await stream("[[cut 3]]")
    assert.isUndefined(outcome.error)
    assert.lengthOf(outcome.chunks, 3)
    assert.isUndefined(finishOf(outcome))
  })

  it("drops the connection after some chunks", async () => {
    const { chunks, error } = await stream("[[drop 2]]")
    assert.lengthOf(chunks, 2)
    assert.instanceOf(error, TypeError)
    assert.strictEqual(error.message, "terminated")
    await until("the call to finish", () => simulator.stats().finished === 1, { seconds: 1 })
  })

  it("sends an error in the middle of the stream", async () => {
    const { chunks, error } = await stream("[[error 2 status 500]]")
    assert.lengthOf(chunks, 2)
    assert.strictEqual(apiError(error).status, 500)
    assert.match(apiError(error).message, /^got status: INTERNAL\. \{/)
  })

  it("sends half a JSON document as an event", async () => {
    const { chunks, error } = await stream("[[garbage 2]]")
    assert.lengthOf(chunks, 2)
    assert.instanceOf(error, SyntaxError)
  })

  it("ends in the middle of an event", async () => {
    const { chunks, error } = await stream("[[truncate 2]]")
    assert.lengthOf(chunks, 2)
    assert.instanceOf(error, Error)
    assert.strictEqual(error.message, "Incomplete JSON segment at the end")
  })

  it.each(["[[hang]]", "[[stall 2]]"])("keeps the client waiting with %s until it leaves", async (prompt) => {
    const { error } = await stream(prompt, { abortSignal: AbortSignal.timeout(100) })
    assert.strictEqual(error instanceof Error && error.name, "AbortError")
    await until("the call to be aborted", () => newest().aborted, { seconds: 1 })
    assert.strictEqual(newest().chunksSent, prompt === "[[hang]]" ? 0 : 2)
  })

  it("breaks an unstreamed answer too", async () => {
    assert.instanceOf(await refusal(whole("[[drop 2]]")), TypeError)
    assert.instanceOf(await refusal(whole("[[garbage 2]]")), SyntaxError)
    assert.strictEqual(apiError(await refusal(whole("[[error 2 status 5]]"))).status, 503)
    assert.isUndefined((await whole("[[cut 2]]")).candidates?.[0]?.finishReason)
  })

  it("loses the whole answer when all chunks are sent at once", async () => {
    simulator.settings({ chunkMillis: 0 })
    assert.lengthOf((await stream("[[drop 2]]")).chunks, 2)
    assert.lengthOf((await stream("[[cut 2]]")).chunks, 2)
    assert.lengthOf((await stream("[[chunks 9]]")).chunks, 9)
  })
})

describe("an unusual end in the Gemini simulator", () => {
  it("refuses the prompt with [[blocked]]", async () => {
    const { chunks } = await stream("[[blocked PROHIBITED_CONTENT]]")
    assert.strictEqual(chunks[0]?.promptFeedback?.blockReason, "PROHIBITED_CONTENT")
    assert.isUndefined(chunks[0]?.candidates)
    assert.strictEqual((await whole("[[blocked]]")).promptFeedback?.blockReason, "SAFETY")
  })

  it.each(["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST", "MAX_TOKENS", "OTHER"])(
    "finishes with %s, without text or after some",
    async (reason) => {
      const without = await stream(`[[finish ${reason}]]`)
      assert.deepStrictEqual([finishOf(without), without.text], [reason, ""])
      const partial = await stream(`[[finish ${reason} 2]]`)
      assert.deepStrictEqual([finishOf(partial), partial.chunks.length], [reason, 2])
      assert.match(partial.text, /^You said/)
    }
  )

  it("stops without text with [[empty]]", async () => {
    const outcome = await stream("[[empty]]")
    assert.deepStrictEqual([finishOf(outcome), outcome.text, outcome.error], ["STOP", "", undefined])
  })
})

describe("the rules of the Gemini simulator", () => {
  it("apply to prompts that contain their text and to the model they name, `times` times", async () => {
    simulator.addFault({ match: "apple", model, times: 1, fault: { kind: "status", status: 500 } })
    assert.isUndefined((await stream("pear")).error)
    const other = await gemini.models.generateContent({ model: "gemini-2.5-flash", contents: "apple" })
    assert.include(other.text ?? "", "apple")
    assert.strictEqual(apiError((await stream("an apple")).error).status, 500)
    assert.isUndefined((await stream("an apple")).error)
  })

  it("are taken in order, before the prompt's own words", async () => {
    simulator.addFault({ times: 1, fault: { kind: "status", status: 503 } })
    simulator.addFault({ times: 1, fault: { kind: "finish", reason: "OTHER", after: 1 } })
    assert.strictEqual(apiError((await stream("[[empty]]")).error).status, 503)
    assert.strictEqual(finishOf(await stream("[[empty]]")), "OTHER")
    assert.strictEqual(finishOf(await stream("[[empty]]")), "STOP")
  })

  it("break a stream after one chunk unless they say when", async () => {
    simulator.addFault({ fault: { kind: "cut" } })
    assert.lengthOf((await stream("hello")).chunks, 1)
  })

  it("can be set and cleared over HTTP", async () => {
    assert.strictEqual((await control("POST", "faults", { fault: { kind: "thoughts" } })).status, 200)
    assert.strictEqual((await whole("hi")).usageMetadata?.thoughtsTokenCount, 14)
    await control("DELETE", "faults")
    assert.isUndefined((await whole("hi")).usageMetadata?.thoughtsTokenCount)
  })

  it.each([
    {},
    { fault: "503" },
    { fault: { kind: "flood" } },
    { fault: { kind: "status" } },
    { fault: { kind: "status", status: 200 } },
    { fault: { kind: "error", status: 5000 } },
    { fault: { kind: "finish" } },
    { fault: { kind: "cut", after: "2" } },
    { times: 0, fault: { kind: "hang" } }
  ])("are refused over HTTP when they make no sense: %j", async (rule) => {
    assert.strictEqual((await control("POST", "faults", rule)).status, 400)
    assert.isUndefined((await stream("hi")).error)
  })
})

describe("the control of the Gemini simulator", () => {
  it("changes the pace of streams", async () => {
    const { json } = await control("PUT", "settings", { chunkMillis: 0, chunkChars: 1000 })
    assert.deepStrictEqual(json, { latencyMillis: 0, chunkMillis: 0, chunkChars: 1000 })
    assert.lengthOf((await stream("hello hello hello hello hello")).chunks, 1)
    assert.strictEqual((await control("PUT", "settings", { chunkChars: 0 })).status, 400)
  })

  it("ends before the first of the stop sequences", async () => {
    const { text } = await stream("[[say one two three two]]", { stopSequences: ["three", "two"] })
    assert.strictEqual(text, "one ")
  })

  it("logs requests and responses", async () => {
    const { chunks, text } = await stream('find "me"', { temperature: 0.5 })
    await stream("not this")
    await until("no call in flight", () => simulator.stats().inFlight === 0, { seconds: 1 })
    const found = simulator.log('find "me"')
    assert.lengthOf(found, 1)
    assert.deepInclude(found[0], {
      model,
      method: "streamGenerateContent",
      status: 200,
      chunksSent: chunks.length,
      textSent: text,
      aborted: false,
      inFlight: false,
      body: { contents: [user('find "me"')], generationConfig: { temperature: 0.5 } }
    })
    assert.deepStrictEqual((await control("GET", "log?contains=find")).json, found)
    assert.isAtLeast((found[0]?.endedAt ?? 0) - (found[0]?.at ?? 0), 0)
  })

  it("logs refused requests, but not itself", async () => {
    await refusal(makeClient("invalid").models.generateContent({ model, contents: "hi" }))
    await control("GET", "stats")
    assert.deepStrictEqual(
      simulator.log().map(({ method, status }) => [method, status]),
      [["generateContent", 400]]
    )
  })

  it("bills every call by the last response that it wrote, and no refused one", async () => {
    const { chunks } = await stream("[[thoughts]] [[cached 2]] bill me")
    await stream("[[status 503]]")
    const leaving = new AbortController()
    const config = { abortSignal: leaving.signal }
    const left = await gemini.models.generateContentStream({ model, contents: "[[chunks 9 delay 30]] [[length 90]]", config })
    await left.next()
    leaving.abort()
    await until("no call in flight", () => simulator.stats().inFlight === 0, { seconds: 1 })
    const usage = chunks.at(-1)?.usageMetadata
    const [whole, cut, ...others] = simulator.bills()
    assert.deepInclude(whole, {
      id: simulator.log()[0]?.id ?? -1,
      model,
      modelVersion: model,
      promptTokens: usage?.promptTokenCount ?? -1,
      cachedTokens: 2,
      toolTokens: 0,
      replyTokens: usage?.candidatesTokenCount ?? -1,
      thoughtTokens: usage?.thoughtsTokenCount ?? -1,
      searches: 0,
      aborted: false
    })
    assert.isAbove(whole?.thoughtTokens ?? 0, 0)
    const { textSent } = newest()
    assert.isBelow(textSent.length, 90)
    assert.deepInclude(cut, { replyTokens: Math.ceil(textSent.length / 4), aborted: true })
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual((await control("GET", "bills")).json, simulator.bills())
  })

  it("names the call in the version when it is asked to", async () => {
    const numbering = await startGeminiSimulator({ numbersVersions: true })
    const client = makeClient("key", numbering.url)
    for (const id of [1, 2]) {
      const { modelVersion } = await client.models.generateContent({ model, contents: "[[say x]]" })
      assert.deepStrictEqual([modelVersion, numbering.bills().at(-1)?.id], [`${model}-call-${id}`, id])
    }
    await numbering.stop()
  })

  it("counts what started, ended and runs", async () => {
    const leaving = new AbortController()
    const streams = [stream("[[say a]]"), stream("[[hang]]", { abortSignal: leaving.signal }), stream("[[latency 60]]")]
    await until("two calls in flight", () => simulator.stats().inFlight === 2, { seconds: 1 })
    assert.deepInclude(simulator.stats(), { started: 3, finished: 1, aborted: 0, inFlight: 2 })
    leaving.abort()
    await Promise.all(streams)
    await until("no call in flight", () => simulator.stats().inFlight === 0, { seconds: 1 })
    const { json } = await control("GET", "stats")
    assert.deepInclude(json, { started: 3, finished: 2, aborted: 1, inFlight: 0 })
    assert.isAtLeast(json.maxInFlight, 2)
  })

  it("notices at once when a client disconnects in the middle of a stream", async () => {
    const leaving = new AbortController()
    const config = { abortSignal: leaving.signal }
    const reply = await gemini.models.generateContentStream({ model, contents: "[[chunks 100 delay 20]]", config })
    await reply.next()
    assert.isTrue(newest().inFlight)
    leaving.abort()
    await until("the call to be aborted", () => newest().aborted, { seconds: 1 })
    const { chunksSent } = newest()
    await sleep(60)
    assert.strictEqual(newest().chunksSent, chunksSent)
    assert.isBelow(chunksSent, 10)
  })

  it("keeps the newest 20,000 requests", () => {
    const log = new RequestLog()
    for (let index = 0; index < 20_005; index++) log.end(log.begin("generateContent", model), false)
    assert.lengthOf(log.list(), 20_000)
    assert.strictEqual(log.list()[0]?.id, 6)
    assert.strictEqual(log.stats().finished, 20_005)
  })

  it("resets log, counters, faults and settings", async () => {
    await stream("[[status 503 times 1]] [[say ok]]")
    simulator.addFault({ fault: { kind: "empty" } })
    simulator.settings({ latencyMillis: 5000 })
    await control("POST", "reset")
    assert.deepStrictEqual(simulator.log(), [])
    assert.strictEqual(simulator.stats().started, 0)
    assert.strictEqual(simulator.settings().latencyMillis, 0)
    assert.strictEqual(apiError((await stream("[[status 503 times 1]] [[say ok]]")).error).status, 503)
    assert.strictEqual((await stream("[[status 503 times 1]] [[say ok]]")).text, "ok")
  })
})

describe("the Gemini simulator's life", () => {
  it("stops with connections open and frees its port", async () => {
    const first = await startGeminiSimulator()
    const waiting = refusal(makeClient("key", first.url).models.generateContent({ model, contents: "[[hang]]" }))
    await until("a call in flight", () => first.stats().inFlight === 1, { seconds: 1 })
    await first.stop()
    assert.instanceOf(await waiting, TypeError)
    const second = await startGeminiSimulator({ port: first.port })
    assert.strictEqual(second.port, first.port)
    await second.stop()
  })

  it("refuses to start on a port that is taken", async () => {
    const error = await refusal(startGeminiSimulator({ port: simulator.port }))
    assert.propertyVal(error, "code", "EADDRINUSE")
  })

  it("runs as a process that prints its URL and exits with 0 on SIGTERM", async () => {
    const { child, url } = await startMain("simulators/gemini/main.ts", ["0"])
    assert.strictEqual((await makeClient("key", url).models.generateContent({ model, contents: "[[say up]]" })).text, "up")
    child.kill("SIGTERM")
    assert.deepStrictEqual(await once(child, "exit"), [0, null])
  })
})
