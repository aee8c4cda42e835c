import { Schema } from "effect"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"
import { problem, retryAfter } from "./Problem.ts"

const FieldError = Schema.Struct({
  path: Schema.String.annotate({
    description: "A JSON Pointer into the body, or `query.x`, `params.x`, `headers.x`."
  }),
  message: Schema.String
}).annotate({ identifier: "FieldError" })

export class ValidationFailed extends HttpApiError.Problem<ValidationFailed>()(
  "ValidationFailed",
  ...problem("validation_failed", 400, "The request is not valid", {
    errors: Schema.Array(FieldError).annotate({
      description: "Every invalid field.",
      examples: [[{ path: "/content", message: "must not be blank" }]]
    })
  })
) {}

export class BadJson extends HttpApiError.Problem<BadJson>()(
  "BadJson",
  ...problem("bad_json", 400, "The body is not JSON in UTF-8")
) {}

export class BadRequest extends HttpApiError.Problem<BadRequest>()(
  "BadRequest",
  ...problem("bad_request", 400, "The request is not well-formed HTTP")
) {}

export class NotFound extends HttpApiError.Problem<NotFound>()("NotFound", ...problem("not_found", 404, "No such route")) {}

export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()(
  "MethodNotAllowed",
  ...problem("method_not_allowed", 405, "This route does not support the method")
) {}

export class RequestTimeout extends HttpApiError.Problem<RequestTimeout>()(
  "RequestTimeout",
  ...problem("request_timeout", 408, "The request did not arrive in time")
) {}

export class PayloadTooLarge extends HttpApiError.Problem<PayloadTooLarge>()(
  "PayloadTooLarge",
  ...problem("payload_too_large", 413, "The body is larger than allowed")
) {}

export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()(
  "UnsupportedMediaType",
  ...problem("unsupported_media_type", 415, "The body must be application/json")
) {}

export class ExpectationFailed extends HttpApiError.Problem<ExpectationFailed>()(
  "ExpectationFailed",
  ...problem("expectation_failed", 417, "The only supported expectation is 100-continue")
) {}

export class HeadersTooLarge extends HttpApiError.Problem<HeadersTooLarge>()(
  "HeadersTooLarge",
  ...problem("headers_too_large", 431, "The headers are larger than allowed")
) {}

export class Internal extends HttpApiError.Problem<Internal>()(
  "Internal",
  ...problem("internal", 500, "Internal server error")
) {}

/** A caller has as many requests of one kind in progress, or waiting, as it may have; other callers are not affected. */
export class TooManyRequests extends HttpApiError.Problem<TooManyRequests>()(
  "TooManyRequests",
  ...problem("too_many_requests", 429, "Too many requests of this kind at once", retryAfter)
) {}

const unavailable = {
  timeout: "The request took too long",
  overloaded: "The server is too busy",
  unavailable: "A service that the request needs is unavailable"
}

/** Every 503; it carries `Retry-After`. */
export class Unavailable extends HttpApiError.Problem<Unavailable>()(
  "Unavailable",
  { type: "urn:problem-type:unavailable", status: 503, title: "Service unavailable" },
  {
    detail: Schema.String.annotate({ examples: Object.values(unavailable) }),
    code: Schema.Literals(["timeout", "overloaded", "unavailable"]),
    requestId: Schema.optionalKey(Schema.String),
    ...retryAfter
  }
) {
  static readonly because = (code: keyof typeof unavailable, retryAfter = 1) =>
    new Unavailable({ code, detail: unavailable[code], retryAfter })
}

/** Problems raised before a request reaches an operation, so not listed as an operation's responses. */
export const unrouted = [NotFound, MethodNotAllowed, RequestTimeout, ExpectationFailed, HeadersTooLarge]

/** Turns decoding errors into these problems, and documents the problems that any route may answer. */
export class Problems extends HttpApiMiddleware.Service<Problems>()("chat-backend/api/Problems", {
  error: [ValidationFailed, BadJson, BadRequest, RequestTimeout, PayloadTooLarge, UnsupportedMediaType, Internal, Unavailable]
}) {}
