import { Cause, Effect, type Layer, Predicate, SchemaIssue } from "effect"
import { HttpServerError, HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { type HttpApiEndpoint, type HttpApiError, HttpApiMiddleware } from "effect/http-api"
import { isSqlError, type SqlError } from "effect/sql/SqlError"
import { ApiKeyNotFound } from "../api/auth/ApiKeysApi.ts"
import { SessionNotFound } from "../api/auth/AuthErrors.ts"
import { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import { FileNotFound } from "../api/files/FileErrors.ts"
import { ShareNotFound } from "../api/shares/ShareErrors.ts"
import { problemOfDeletedUser } from "../auth/DeletedUser.ts"
import { DatabaseBusy } from "../database/RequestBulkhead.ts"
import { makeRareWarning } from "../ops/RareLog.ts"
import { faultMessage } from "./ValidationMessages.ts"
import {
  BadRequest,
  Internal,
  MethodNotAllowed,
  NotFound,
  PayloadTooLarge,
  Problems,
  Unavailable,
  UnsupportedMediaType,
  ValidationFailed
} from "../api/Problems.ts"

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const pathIn = (slot: string, path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }>) => {
  const segments = path.map((segment) => String(typeof segment === "object" ? segment.key : segment))
  return slot === "payload"
    ? segments.map((segment) => `/${segment.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
    : [slot, ...segments].join(".")
}

/** Dot segments and NUL, also when they are escaped: a part of a path that no server may read as an id. */
const isOutsidePaths = (url: string): boolean => /\/(?:\.|%2e){1,2}(?:\/|$)|%00/i.test(url.split("?", 1)[0] ?? "")

/** What operations list for an id that does not exist, the outer one first. */
const missing = [ChatroomNotFound, MessageNotFound, SessionNotFound, ApiKeyNotFound, FileNotFound, ShareNotFound]

/** A path of no resource: the problem that the operation lists for it. */
const noResource = ({ error }: HttpApiEndpoint.Top) => {
  const listed = new Set(Array.from(error, ({ ast }) => ast))
  const Missing = missing.find(({ ast }) => listed.has(ast)) ?? NotFound
  return toResponse(new Missing())
}

/** A request that does not decode is a 400 that names every fault; a response that does not encode is a 500. */
export const ProblemsLayer: Layer.Layer<Problems> = HttpApiMiddleware.layerSchemaErrorTransform(Problems, (error, { endpoint }) =>
  HttpServerRequest.HttpServerRequest.use(({ url }) =>
    error.kind === "Params" && isOutsidePaths(url) ? noResource(endpoint) : withFaults(error)
  )
)

const withFaults = (error: HttpApiError.HttpApiSchemaError) => {
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.die(error)
  const slot = error.kind.toLowerCase()
  const faults = formatIssues(error.cause.issue).issues.map(
    ({ path, message }) => [pathIn(slot, path ?? []), faultMessage(message)] as const
  )
  // A value can break several rules: the first fault of each path is kept.
  const first = new Map(faults.toReversed())
  const errors = [...first].toReversed().map(([path, message]) => ({ path, message }))
  return Effect.fail(new ValidationFailed({ errors }))
}

/** Encodes a problem that was raised outside a route; HttpApi encodes those that an endpoint declares. */
export const toResponse = HttpServerRespondable.toResponse

/** While Postgres is away every request fails alike, and has its own line with the problem's code. */
const outage = makeRareWarning()

/** The response to a failure that no endpoint declares. It never shows the cause. */
export const fromCause = (
  cause: Cause.Cause<unknown>,
  allow: string | undefined
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const error = Cause.squash(cause)
  if (HttpServerError.isHttpServerError(error)) {
    if (error.reason._tag === "RouteNotFound") return notFound(allow)
    // Any other parse error means that the client disconnected while it was sending.
    if (error.reason._tag === "RequestParseError") {
      return toResponse(error.reason.reason === "BodyTooLarge" ? new PayloadTooLarge() : new BadRequest())
    }
  }
  if (isSqlError(error)) {
    const problem = problemOfDeletedUser(error)
    if (problem !== undefined) return toResponse(problem)
    const answer = databaseProblem(error)
    const line = "The database failed a request"
    const log = answer.code === "unavailable" ? outage(line, cause) : Effect.logError(line, cause)
    return Effect.andThen(log, toResponse(answer))
  }
  if (error instanceof DatabaseBusy) return toResponse(Unavailable.because("overloaded"))
  if (isProblem(error)) return toResponse(error)
  return Effect.andThen(Effect.logError("Unhandled defect", cause), toResponse(new Internal()))
}

/** A problem that was raised as a defect, as the request guard does. */
const isProblem = (error: unknown): error is HttpServerRespondable.Respondable =>
  HttpServerRespondable.isRespondable(error) && Predicate.hasProperty(error, "code")

const notFound = (allow: string | undefined) =>
  allow === undefined
    ? toResponse(new NotFound())
    : Effect.map(toResponse(new MethodNotAllowed()), HttpServerResponse.setHeader("allow", allow))

/** A lost connection, a restart or a full server is transient (503); a statement that Postgres refuses is our fault (500). */
const databaseProblem = ({ reason }: SqlError) => {
  if (reason._tag === "StatementTimeoutError" || reason._tag === "LockTimeoutError") return Unavailable.because("timeout")
  return reason._tag === "ConnectionError" || isTransient(reason.cause) ? Unavailable.because("unavailable") : new Internal()
}

/** SQLSTATE classes 08 (connection), 53 (resources) and 57 (operator intervention), or the error code of a socket. */
const isTransient = (cause: unknown): boolean => {
  const code = Predicate.hasProperty(cause, "code") ? String(cause.code) : ""
  return /^(08|53|57)...$/.test(code) || /^E[A-Z]+$/.test(code)
}

/** The problem for a refusal that the platform sends without a body; undefined for responses that have one (`/readyz`). */
export const platformProblem = (response: HttpServerResponse.HttpServerResponse) => {
  if (response.status === 413) return new PayloadTooLarge()
  if (response.status === 415) return new UnsupportedMediaType()
  return response.status >= 500 && response.body._tag === "Empty" ? new Internal() : undefined
}
