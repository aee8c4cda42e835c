import { assert, describe, it } from "vitest"
import { BudgetExceeded, QuotaExceeded, SpendLimitReached } from "../../src/api/chat/ChatErrors.ts"
import { CompletionFailed, CompletionUnavailable, ModelExhausted } from "../../src/api/openai/CompletionErrors.ts"
import { Internal, TooManyRequests, Unavailable } from "../../src/api/Problems.ts"
import { errorHeaders, errorOf, isOpenAiPath, paramOfPointer } from "../../src/openai/ErrorResponse.ts"

const limit = { resetsAt: "2026-11-30T00:00:00.000Z", upgradeUrl: "http://localhost:3000/#upgrade", retryAfter: 60 }

describe("a refusal in OpenAI's form", () => {
  it.each([
    [new QuotaExceeded({ limit: 5, ...limit }), "insufficient_quota", "insufficient_quota", true],
    [new BudgetExceeded(limit), "insufficient_quota", "insufficient_quota", true],
    [new SpendLimitReached({ retryAfter: 60 }), "server_error", "server_error", true],
    [new ModelExhausted({ retryAfter: 1 }), "server_error", "server_error", true],
    [new CompletionFailed(), "server_error", "server_error", true],
    [new CompletionUnavailable({ retryAfter: 1 }), "server_error", "server_error", false],
    [new TooManyRequests({ retryAfter: 1 }), "rate_limit_error", "rate_limit_exceeded", false],
    [Unavailable.because("overloaded"), "server_error", "server_error", false],
    [Unavailable.because("timeout"), "server_error", "server_error", false],
    [new Internal(), "server_error", "server_error", false]
  ])("has the type and the code of %s, and says whether it is final", (problem, type, code, isFinal) => {
    const { error } = errorOf(problem)
    assert.deepStrictEqual(error, { message: problem.detail, type, param: null, code })
    assert.strictEqual(errorHeaders(problem)["x-should-retry"], isFinal ? "false" : undefined)
  })

  it("names the part of the request as OpenAI does", () => {
    assert.strictEqual(paramOfPointer("/messages/0/content/12/image_url"), "messages[0].content[12].image_url")
    assert.strictEqual(paramOfPointer("/metadata/a~1b~0c"), "metadata.a/b~c")
    const errors = [{ path: "/messages/0/role", message: "must be one of …" }]
    assert.deepStrictEqual(errorOf({ status: 400, code: "validation_failed", detail: "Not valid", errors }).error, {
      message: "Invalid 'messages[0].role': must be one of …",
      type: "invalid_request_error",
      param: "messages[0].role",
      code: "invalid_value"
    })
  })

  it("is for the routes under /v1 alone", () => {
    for (const url of ["/v1", "/v1/", "/v1/models", "/v1/x?y", "/v1?x", "/V1/MODELS", "/%761/models", "/%56%31/x"])
      assert.isTrue(isOpenAiPath(url), url)
    for (const url of ["/", "/v11", "/v1x/models", "/%661/x", "/chatroom/v1", undefined]) assert.isFalse(isOpenAiPath(url), url)
  })
})
