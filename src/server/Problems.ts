import { Cause, Effect, type Layer, Predicate, SchemaIssue } from "effect"
import { HttpServerError, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"
import { isSqlError } from "effect/sql/SqlError"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import { DatabaseBusy } from "../database/RequestPool.ts"
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

/** What did not decode is 400 with the place of every fault; what does not encode is our own 500. */
export const ProblemsLayer: Layer.Layer<Problems> = HttpApiMiddleware.layerSchemaErrorTransform(Problems, (error) => {
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.die(error)
  const slot = error.kind.toLowerCase()
  const faults = formatIssues(error.cause.issue).issues.map(({ path, message }) => [pathIn(slot, path ?? []), message] as const)
  // One value can break several rules at once; of one place the first is enough.
  const first = new Map(faults.toReversed())
  const errors = [...first].toReversed().map(([path, message]) => ({ path, message }))
  return Effect.fail(new ValidationFailed({ errors }))
})

/** A problem as a response. Errors of the contract encode themselves; this is for those raised outside a route. */
export const toResponse = HttpServerRespondable.toResponse

/** What is told of a failure that no route declared: never more than its kind. */
export const fromCause = (
  cause: Cause.Cause<unknown>,
  allow: string | undefined
): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  const error = Cause.squash(cause)
  if (HttpServerError.isHttpServerError(error)) {
    if (error.reason._tag === "RouteNotFound") return notFound(allow)
    // Else its client hung up in the middle: nothing of ours is wrong, and nobody reads the answer.
    if (error.reason._tag === "RequestParseError") {
      return toResponse(error.reason.reason === "BodyTooLarge" ? new PayloadTooLarge() : new BadRequest())
    }
  }
  if (isSqlError(error)) {
    if (isOrphan(error.reason.cause)) return toResponse(Unauthenticated.because("session_revoked"))
    return Effect.andThen(Effect.logError("The database failed a request", cause), toResponse(databaseProblem(error)))
  }
  if (error instanceof DatabaseBusy) return toResponse(Unavailable.because("overloaded"))
  if (isProblem(error)) return toResponse(error)
  return Effect.andThen(Effect.logError("Unhandled defect", cause), toResponse(new Internal()))
}

/** A problem of ours that was raised as a defect, by the request guard for one. */
const isProblem = (error: unknown): error is HttpServerRespondable.Respondable =>
  HttpServerRespondable.isRespondable(error) && Predicate.hasProperty(error, "code")

const notFound = (allow: string | undefined) =>
  allow === undefined
    ? toResponse(new NotFound())
    : Effect.map(toResponse(new MethodNotAllowed()), HttpServerResponse.setHeader("allow", allow))

/** A row for a user who was deleted while the request was on its way: a moment later its session would have been over. */
const isOrphan = (cause: unknown): boolean =>
  Predicate.hasProperty(cause, "code") &&
  cause.code === "23503" &&
  Predicate.hasProperty(cause, "constraint") &&
  `${cause.constraint}`.endsWith("_user_id_fkey")

/** A lost connection, a restart or a full server passes; a statement that Postgres refuses is a fault of ours. */
const databaseProblem = (error: { readonly reason: { readonly _tag: string; readonly cause?: unknown } }) => {
  if (error.reason._tag === "StatementTimeoutError" || error.reason._tag === "LockTimeoutError")
    return Unavailable.because("timeout")
  return error.reason._tag === "ConnectionError" || isPassing(error.reason.cause)
    ? Unavailable.because("unavailable")
    : new Internal()
}

/** SQLSTATE classes 08 (connection), 53 (resources) and 57 (operator intervention), or a socket's own error. */
const isPassing = (cause: unknown): boolean => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  return /^(08|53|57)...$/.test(code) || /^E[A-Z]+$/.test(code)
}

/** Bare responses of the platform, given the shape every problem has. One with a body of ours (`/readyz`) stays. */
export const platformProblem = (response: HttpServerResponse.HttpServerResponse) => {
  if (response.status === 413) return new PayloadTooLarge()
  if (response.status === 415) return new UnsupportedMediaType()
  return response.status >= 500 && response.body._tag === "Empty" ? new Internal() : undefined
}
