import { Predicate } from "effect"
import { rateLimitHeaders } from "../api/chat/ChatErrors.ts"
import type { ErrorBody } from "../api/openai/CompletionErrors.ts"

/**
 * Whether a request is for OpenAI's API, known or not: its refusals have that API's form. The router takes capitals and
 * encoded characters for the same path.
 */
export const isOpenAiPath = (url = ""): boolean => /^\/(?:v|%[57]6)(?:1|%31)(?:[/?]|$)/i.test(url)

/** A problem, in which only the status is certain. */
interface AnyProblem {
  readonly status: number
  readonly code?: unknown
  readonly detail?: unknown
  readonly param?: unknown
  readonly errors?: unknown
  readonly limit?: unknown
  readonly retryAfter?: unknown
}

/**
 * Refusals that a repetition does not change, though OpenAI's clients repeat requests with their status twice: limits of a
 * day, and answers that have been tried several times.
 */
const finalCodes: ReadonlySet<unknown> = new Set([
  "completion_failed",
  "quota_exceeded",
  "budget_exceeded",
  "spend_limit_reached",
  "model_quota_exhausted",
  "storage_full"
])

/** `/messages/0/content` → `messages[0].content`, as OpenAI's API names parts of a request. */
export const paramOfPointer = (pointer: string): string =>
  pointer
    .slice(1)
    .split("/")
    .map((segment, index) => (/^\d+$/.test(segment) ? `[${segment}]` : `${index === 0 ? "" : "."}${segment}`))
    .join("")
    .replaceAll("~1", "/")
    .replaceAll("~0", "~")

/** The first field that is not valid. */
const faultOf = (errors: unknown) => {
  const [first]: ReadonlyArray<unknown> = Array.isArray(errors) ? errors : []
  if (!Predicate.hasProperty(first, "path") || !Predicate.hasProperty(first, "message")) return undefined
  const path = String(first.path)
  return { param: path.startsWith("/") ? paramOfPointer(path) : path, message: String(first.message) }
}

const kindOf = ({ code, status }: AnyProblem): { readonly type: string; readonly code: string } => {
  if (status === 401) return { type: "invalid_request_error", code: "invalid_api_key" }
  if (status === 429) {
    return code === "quota_exceeded" || code === "budget_exceeded"
      ? { type: "insufficient_quota", code: "insufficient_quota" }
      : { type: "rate_limit_error", code: "rate_limit_exceeded" }
  }
  if (status >= 500) return { type: "server_error", code: "server_error" }
  return { type: "invalid_request_error", code: code === "validation_failed" ? "invalid_value" : String(code) }
}

/** A problem in the form of OpenAI's API. */
export const errorOf = (problem: AnyProblem): ErrorBody => {
  const fault = faultOf(problem.errors)
  const message = fault === undefined ? String(problem.detail) : `Invalid '${fault.param}': ${fault.message}`
  const param = fault?.param ?? (typeof problem.param === "string" ? problem.param : null)
  return { error: { message, param, ...kindOf(problem) } }
}

/** The headers of that form. */
export const errorHeaders = ({ code, limit, retryAfter }: AnyProblem): Readonly<Record<string, string>> => ({
  "content-type": "application/json",
  ...(finalCodes.has(code) ? { "x-should-retry": "false" } : {}),
  ...(code === "quota_exceeded" ? rateLimitHeaders(Number(limit), 0, Number(retryAfter)) : {})
})
