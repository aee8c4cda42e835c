import { createServer, type IncomingHttpHeaders } from "node:http"
import type { AddressInfo } from "node:net"
import { text as readText } from "node:stream/consumers"
import { type GenerateContentParameters, GoogleGenAI, HarmBlockThreshold, HarmCategory, ThinkingLevel } from "@google/genai"
import { Effect, Layer } from "effect"
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "vitest"
import { parseJson, isRecord } from "../../simulators/gemini/Body.ts"
import { checkFields } from "../../simulators/gemini/Fields.ts"
import { GoogleError } from "../../simulators/gemini/GoogleError.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import type { AnswerDelta } from "../../src/gemini/AnswerEvent.ts"
import { Gemini } from "../../src/gemini/Gemini.ts"
import type { Prompt } from "../../src/gemini/Prompt.ts"
import { environment } from "../../src/ops/Launch.ts"
import { titlePrompt } from "../../src/replies/TitleMaker.ts"

interface Recorded {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

const recorded: Array<Recorded> = []
const token = "dG9rZW4="

const answerOf = (finish: object) =>
  `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: "Yes." }], role: "model" }, index: 0, ...finish }] })}\r\n\r\n`

/** Records the bytes, and refuses fields that the API does not have. A prompt with "[long]" is continued once. */
const recorder = createServer((request, response) => {
  void readText(request).then((body) => {
    recorded.push({ method: request.method, url: request.url, headers: request.headers, body })
    try {
      const json = parseJson(body)
      if (isRecord(json)) checkFields(json)
      const goesOn = body.includes("[long]") && !body.includes(token)
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(answerOf(goesOn ? { finishReason: "CONTINUATION", continuationToken: token } : { finishReason: "STOP" }))
    } catch (error) {
      response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify(error))
    }
  })
})
let baseUrl = ""
beforeAll(async () => {
  await new Promise<void>((done) => recorder.listen(0, "127.0.0.1", done))
  baseUrl = `http://127.0.0.1:${(recorder.address() as AddressInfo).port}`
})
beforeEach(() => recorded.splice(0))
afterAll(() => recorder.close())

/** Asks by the product's port, and returns the answer's text. */
const askByPort = (prompt: Prompt, settings: Readonly<Record<string, string>> = {}): Promise<string> => {
  const env = environment({
    APP_ENV: "test",
    DATABASE_URL: "postgres://localhost/none",
    GEMINI_API_KEY: "the-key",
    GEMINI_BASE_URL: baseUrl,
    ...settings
  })
  const layer = Gemini.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(env))
  const ask = Effect.gen(function* () {
    let text = ""
    yield* (yield* Gemini).answer(prompt, (delta: AnswerDelta) => (text += delta.text))
    return text
  })
  return Effect.runPromise(Effect.provide(ask, layer))
}

/** Asks by the SDK alone. */
const askBySdk = async ({ config, ...parameters }: GenerateContentParameters): Promise<void> => {
  const client = new GoogleGenAI({ apiKey: "the-key", apiVersion: "v1beta", httpOptions: { baseUrl } })
  const withoutMore = { ...config, automaticContinuation: false }
  for await (const _ of await client.models.generateContentStream({ ...parameters, config: withoutMore }));
}

const plain: Prompt = {
  model: "gemini-3.8-flash",
  systemPrompt: null,
  temperature: null,
  maxOutputTokens: 2_048,
  turns: [{ role: "user", text: "Héllo 🌊" }]
}
const contents = [{ role: "user", parts: [{ text: "Héllo 🌊" }] }]
const schema = { type: "object", properties: { zebra: { type: "string" }, a: { enum: ["x"] } }, required: ["zebra"] }
const harms = [
  HarmCategory.HARM_CATEGORY_HARASSMENT,
  HarmCategory.HARM_CATEGORY_HATE_SPEECH,
  HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
  HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT
]

interface Row {
  readonly prompt: Prompt
  readonly settings?: Readonly<Record<string, string>>
  /** What the SDK's types call the request: for an answer over two requests, the second. */
  readonly parameters: GenerateContentParameters
  /** The REST request, in the order of the bytes. */
  readonly body: object
}

/** One row for each kind of request that the product makes. */
const rows: Readonly<Record<string, Row>> = {
  "a plain question": {
    prompt: plain,
    parameters: { model: "gemini-3.8-flash", contents, config: { maxOutputTokens: 2_048 } },
    body: { contents, generationConfig: { maxOutputTokens: 2_048 } }
  },
  "a question with search and web pages": {
    prompt: { ...plain, tools: ["search", "url"] },
    parameters: {
      model: "gemini-3.8-flash",
      contents,
      config: { maxOutputTokens: 2_048, tools: [{ googleSearch: {} }, { urlContext: {} }] }
    },
    body: { contents, tools: [{ googleSearch: {} }, { urlContext: {} }], generationConfig: { maxOutputTokens: 2_048 } }
  },
  "a question with history, another model, temperature and system prompt": {
    prompt: {
      ...plain,
      model: "gemini-3.5-flash",
      temperature: 0,
      systemPrompt: "Be brief.",
      turns: [...plain.turns, { role: "model", text: "Hi." }, { role: "user", text: "Why?" }]
    },
    parameters: {
      model: "gemini-3.5-flash",
      contents: [...contents, { role: "model", parts: [{ text: "Hi." }] }, { role: "user", parts: [{ text: "Why?" }] }],
      config: { systemInstruction: "Be brief.", temperature: 0, maxOutputTokens: 2_048 }
    },
    body: {
      contents: [...contents, { role: "model", parts: [{ text: "Hi." }] }, { role: "user", parts: [{ text: "Why?" }] }],
      systemInstruction: { parts: [{ text: "Be brief." }], role: "user" },
      generationConfig: { temperature: 0, maxOutputTokens: 2_048 }
    }
  },
  "a question of OpenAI's API": {
    prompt: { ...plain, topP: 0.5, stop: ["END", "\n\n"] },
    parameters: { model: plain.model, contents, config: { maxOutputTokens: 2_048, topP: 0.5, stopSequences: ["END", "\n\n"] } },
    body: { contents, generationConfig: { maxOutputTokens: 2_048, topP: 0.5, stopSequences: ["END", "\n\n"] } }
  },
  "a question for JSON": {
    prompt: { ...plain, responseFormat: { type: "json" } },
    parameters: { model: plain.model, contents, config: { maxOutputTokens: 2_048, responseMimeType: "application/json" } },
    body: { contents, generationConfig: { maxOutputTokens: 2_048, responseMimeType: "application/json" } }
  },
  "a question for JSON with a schema": {
    prompt: { ...plain, responseFormat: { type: "json", schema } },
    parameters: {
      model: plain.model,
      contents,
      config: { maxOutputTokens: 2_048, responseMimeType: "application/json", responseJsonSchema: schema }
    },
    body: {
      contents,
      generationConfig: { maxOutputTokens: 2_048, responseMimeType: "application/json", responseJsonSchema: schema }
    }
  },
  "a question with safety settings": {
    prompt: plain,
    settings: { SAFETY_THRESHOLD: "medium" },
    parameters: {
      model: plain.model,
      contents,
      config: {
        maxOutputTokens: 2_048,
        safetySettings: harms.map((category) => ({ category, threshold: HarmBlockThreshold.BLOCK_MEDIUM_AND_ABOVE }))
      }
    },
    body: {
      contents,
      safetySettings: harms.map((category) => ({ category, threshold: "BLOCK_MEDIUM_AND_ABOVE" })),
      generationConfig: { maxOutputTokens: 2_048 }
    }
  },
  "the continuation of an answer": {
    prompt: { ...plain, turns: [{ role: "user", text: "[long]" }] },
    parameters: {
      model: plain.model,
      contents: [{ role: "user", parts: [{ text: "[long]" }] }],
      config: { maxOutputTokens: 2_048, continuationToken: token }
    },
    body: {
      contents: [{ role: "user", parts: [{ text: "[long]" }] }],
      continuationToken: token,
      generationConfig: { maxOutputTokens: 2_048 }
    }
  },
  "a room's title": {
    prompt: titlePrompt("gemini-3.5-flash-lite", "minimal", "Héllo 🌊"),
    parameters: {
      model: "gemini-3.5-flash-lite",
      contents,
      config: {
        systemInstruction: "Name the topic in 2 to 6 words, in the question's language. Only the title.",
        maxOutputTokens: 512,
        thinkingConfig: { thinkingLevel: ThinkingLevel.MINIMAL }
      }
    },
    body: {
      contents,
      systemInstruction: {
        parts: [{ text: "Name the topic in 2 to 6 words, in the question's language. Only the title." }],
        role: "user"
      },
      generationConfig: { maxOutputTokens: 512, thinkingConfig: { thinkingLevel: "MINIMAL" } }
    }
  }
}

describe("a request of the product, as Google receives it", () => {
  it.each(Object.entries(rows))("is that of the SDK's types: %s", async (_, { body, parameters, prompt, settings }) => {
    const text = await askByPort(prompt, settings)
    const [first, ...more] = recorded
    const sent = recorded.at(-1)
    assert.strictEqual(text, "Yes.".repeat(recorded.length))
    assert.deepStrictEqual(JSON.parse(sent?.body ?? ""), body)
    assert.deepInclude(sent, {
      method: "POST",
      url: `/v1beta/models/${parameters.model}:streamGenerateContent?alt=sse`
    })
    assert.deepInclude(sent?.headers, { "content-type": "application/json", "x-goog-api-key": "the-key" })
    for (const request of [first, ...more]) assert.strictEqual(request?.url, sent?.url)

    await askBySdk(parameters)
    assert.strictEqual(sent?.body, recorded.at(-1)?.body)
  })

  it("repeats the whole request with the token of a continuation", async () => {
    await askByPort(rows["the continuation of an answer"]?.prompt ?? plain)
    const [first, second, ...others] = recorded.map(({ body }): unknown => JSON.parse(body))
    assert.deepStrictEqual(second, { ...(first as object), continuationToken: token })
    assert.deepStrictEqual(others, [])
  })

  it("is refused by the recorder when it has a field that the API does not have", () => {
    for (const { body } of Object.values(rows)) {
      assert.throws(() => checkFields({ ...body, systemPrompt: "x" }), GoogleError, 'Unknown name "systemPrompt"')
    }
  })
})
