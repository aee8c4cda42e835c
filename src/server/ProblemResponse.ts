import { Predicate } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { errorHeaders, errorOf, isOpenAiPath } from "../openai/ErrorResponse.ts"
import type { RequestObserver } from "./RequestObserver.ts"

const decoder = new TextDecoder()

/** Whether a response is a problem (RFC 9457). */
export const isProblem = (response: HttpServerResponse.HttpServerResponse) =>
  response.status >= 400 && response.headers["content-type"]?.startsWith("application/problem+json") === true

/** RFC 6750: what is wrong with the token that was sent; empty when none was. */
const tokenError = (problem: object): string => {
  if (!Predicate.hasProperty(problem, "code") || !Predicate.hasProperty(problem, "detail")) return ""
  const isInvalid = /^token_|^session_revoked$/.test(String(problem.code))
  return isInvalid ? `, error="invalid_token", error_description="${String(problem.detail)}"` : ""
}

/** Adds the request's id to a problem's body, and the headers that its members imply; or puts it into the form of OpenAI's API. */
export const completeProblem = (
  response: HttpServerResponse.HttpServerResponse,
  requestId: string,
  request: HttpServerRequest.HttpServerRequest,
  observer: Pick<RequestObserver["Service"], "countProblem">
) => {
  if (response.body._tag !== "Uint8Array") return response
  const body: unknown = JSON.parse(decoder.decode(response.body.body))
  if (!Predicate.isObject(body)) return response
  const headers: Record<string, string> = {}
  if (Predicate.hasProperty(body, "code") && typeof body.code === "string") observer.countProblem(body.code, request.source)
  if (Predicate.hasProperty(body, "retryAfter") && typeof body.retryAfter === "number")
    headers["retry-after"] = String(body.retryAfter)
  if (response.status === 401) headers["www-authenticate"] = `Bearer realm="chat-backend"${tokenError(body)}`
  const { status } = response
  if (isOpenAiPath(request.url)) {
    const problem = { ...body, status }
    const own = { ...response.headers, ...headers, ...errorHeaders(problem) }
    return HttpServerResponse.jsonUnsafe(errorOf(problem), { status, headers: own })
  }
  return HttpServerResponse.jsonUnsafe(
    { ...body, requestId },
    { status, contentType: "application/problem+json", headers: { ...response.headers, ...headers } }
  )
}
