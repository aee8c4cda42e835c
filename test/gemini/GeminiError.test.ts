import { ApiError, GoogleGenAI } from "@google/genai"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { fromUnknown, type GeminiError } from "../../src/gemini/GeminiError.ts"

const apiKey = "AIza-a-very-secret-key"

let gemini: GeminiSimulator

beforeAll(async () => {
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
})
afterAll(() => gemini.stop())

interface Thrown {
  readonly cause: unknown
  readonly error: GeminiError
}

/** What the SDK throws for a streamed prompt, and how it is classified. */
const thrownFor = async (
  prompt: string,
  options: { baseUrl?: string; key?: string; model?: string; signal?: AbortSignal } = {}
): Promise<Thrown> => {
  const client = new GoogleGenAI({
    apiKey: options.key ?? apiKey,
    apiVersion: "v1beta",
    httpOptions: { baseUrl: options.baseUrl ?? gemini.url }
  })
  try {
    const responses = await client.models.generateContentStream({
      model: options.model ?? "gemini-3.8-flash",
      contents: [{ role: "user", parts: [{ text: prompt }] }],
      ...(options.signal === undefined ? {} : { config: { abortSignal: options.signal } })
    })
    for await (const _ of responses);
  } catch (cause) {
    return { cause, error: fromUnknown(cause) }
  }
  throw new Error(`nothing was thrown for ${prompt}`)
}

const kindOf = async (prompt: string) => (await thrownFor(prompt)).error.kind

describe("fromUnknown of an SDK error", () => {
  it("returns rate_limited for a 429 per minute, with the delay of RetryInfo", async () => {
    const { cause, error } = await thrownFor("[[status 429 retry 7]]")
    assert.instanceOf(cause, ApiError)
    assert.deepEqual([error.kind, error.retryAfter], ["rate_limited", 7_000])
    assert.strictEqual((await thrownFor("[[status 429 retry 12.345]]")).error.retryAfter, 12_345)
    assert.strictEqual((await thrownFor("[[status 429 retry 0.0001]]")).error.retryAfter, 1)
  })

  it("returns rate_limited without a delay for a 429 without RetryInfo", async () => {
    const { error } = await thrownFor("[[status 429]]")
    assert.deepEqual([error.kind, error.retryAfter], ["rate_limited", undefined])
  })

  it("returns daily_quota for a 429 per day, with or without RetryInfo", async () => {
    assert.strictEqual(await kindOf("[[status 429 perday]]"), "daily_quota")
    assert.strictEqual(await kindOf("[[status 429 retry 9 perday]]"), "daily_quota")
  })

  it("reads a status in a list as a bare one", async () => {
    const { error } = await thrownFor("[[status 429 retry 7 list]]")
    assert.deepEqual([error.kind, error.retryAfter], ["rate_limited", 7_000])
    assert.include(error.detail, "HTTP 429 You exceeded your current quota")
    assert.strictEqual(await kindOf("[[status 429 perday list]]"), "daily_quota")
  })

  it("returns unavailable for an outage of Google, with its delay", async () => {
    for (const status of [408, 409, 499, 500, 501, 502, 503, 504, 529])
      assert.strictEqual(await kindOf(`[[status ${status}]]`), "unavailable", String(status))
    assert.strictEqual((await thrownFor("[[status 503 retry 3]]")).error.retryAfter, 3_000)
  })

  it("returns misconfigured for a rejected request, key or model", async () => {
    for (const status of [400, 401, 403, 404, 405, 422])
      assert.strictEqual(await kindOf(`[[status ${status}]]`), "misconfigured", String(status))
    const { error } = await thrownFor("hello", { key: "invalid" })
    assert.strictEqual(error.kind, "misconfigured")
    assert.strictEqual(error.reason, "API_KEY_INVALID")
    assert.include(error.detail, "API key not valid")
    assert.strictEqual((await thrownFor("hello", { model: "unknown-1" })).error.kind, "misconfigured")
  })

  it("returns unavailable for a proxy's HTML page, a reset and a closed port", async () => {
    assert.strictEqual(await kindOf("[[html]]"), "unavailable")
    const reset = await thrownFor("[[reset]]")
    assert.notInstanceOf(reset.cause, ApiError)
    assert.strictEqual(reset.error.kind, "unavailable")
    const closed = await thrownFor("hello", { baseUrl: `http://127.0.0.1:${await freePort()}` })
    assert.strictEqual(closed.error.kind, "unavailable")
  })

  it("returns unavailable in the middle of a stream, except for a quota and a rejection", async () => {
    for (const word of ["drop 2", "garbage 1", "garbage 0", "truncate 2", "error 1", "error 0 status 500"]) {
      assert.strictEqual(await kindOf(`[[${word}]]`), "unavailable", word)
    }
    assert.strictEqual(await kindOf("[[error 1 status 429]]"), "rate_limited")
    assert.strictEqual(await kindOf("[[error 1 status 400]]"), "misconfigured")
  })

  it("returns unavailable for a call that we aborted", async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 100)
    assert.strictEqual((await thrownFor("[[chunks 50 delay 50]]", { signal: controller.signal })).error.kind, "unavailable")
  })

  it("describes the error for the log, without the key", async () => {
    const words = [
      "status 429 retry 7",
      "status 429 perday",
      "status 503",
      "status 400",
      "html",
      "reset",
      "drop 1",
      "garbage 1",
      "error 1 status 500"
    ]
    for (const word of words) {
      const { error } = await thrownFor(`[[${word}]]`)
      assert.isNotEmpty(error.detail)
      assert.include(error.message, error.kind)
      assert.notInclude(JSON.stringify({ ...error, message: error.message }), apiKey)
    }
    assert.include((await thrownFor("[[status 503]]")).error.detail, "HTTP 503 The model is overloaded")
    assert.include((await thrownFor("[[status 429 retry 7]]")).error.detail, "HTTP 429 You exceeded your current quota")
  })
})

describe("fromUnknown of an unusual error", () => {
  const rateLimited = (error: object) => fromUnknown(new ApiError({ status: 429, message: JSON.stringify({ error }) }))

  it("returns unavailable", () => {
    for (const cause of [undefined, null, "", "boom", 7, {}, new Error("boom"), new TypeError("terminated")]) {
      assert.strictEqual(fromUnknown(cause).kind, "unavailable")
    }
  })

  it("classifies by status when the body is not Google's", () => {
    for (const message of [
      "",
      "{",
      "{}",
      "[]",
      '{"error":null}',
      '{"error":{"details":{}}}',
      '{"error":{"details":[null]}}',
      '{"error":"quota"}',
      "{".repeat(10_000)
    ]) {
      assert.strictEqual(fromUnknown(new ApiError({ status: 429, message })).kind, "rate_limited")
      assert.strictEqual(fromUnknown(new ApiError({ status: 503, message })).kind, "unavailable")
      assert.strictEqual(fromUnknown(new ApiError({ status: 404, message })).kind, "misconfigured")
    }
  })

  it("reads only a valid retryDelay, and finds it among other details", () => {
    const wait = (retryDelay: unknown) =>
      rateLimited({ details: [{ "@type": "type.googleapis.com/google.rpc.Help", links: [] }, { retryDelay }] }).retryAfter
    assert.deepEqual(["30s", "0s", "1.5s", "0.000000001s"].map(wait), [30_000, 0, 1_500, 1])
    assert.deepEqual(
      ["30", "-1s", "s", "1m", "Infinitys", ""].map(wait),
      Array.from({ length: 6 }, () => undefined)
    )
    assert.deepEqual(["3601s", `${"9".repeat(400)}s`].map(wait), [3_600_000, 3_600_000])
    assert.deepEqual(
      [7, null, {}, ["7s"], true].map(wait),
      Array.from({ length: 5 }, () => undefined)
    )
    assert.strictEqual(
      rateLimited({ details: [{ violations: [{ quotaId: "TokensPerDayPerProject" }] }, { retryDelay: "5s" }] }).kind,
      "daily_quota"
    )
    assert.strictEqual(
      rateLimited({ details: [{ violations: [{ quotaId: "RequestsPerMinute" }] }, { retryDelay: "5s" }] }).kind,
      "rate_limited"
    )
  })
  it("passes over members of any type beside the delay and the quota", () => {
    for (const odd of [null, 7, "x", [], {}, [null], { a: 1 }]) {
      const good = [{ retryDelay: "5s" }, { violations: [null, { quotaId: 7 }, { quotaId: "TokensPerDay" }] }]
      const { kind, retryAfter } = rateLimited({
        code: odd,
        message: odd,
        status: odd,
        details: [odd, { retryDelay: odd, violations: odd }, { "@type": odd, violations: [odd] }, ...good]
      })
      assert.deepEqual([kind, retryAfter], ["daily_quota", 5_000], JSON.stringify(odd))
    }
  })
})
