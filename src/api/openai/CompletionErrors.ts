import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

/*
 * Problems of the routes under `/v1`. Clients get them in the form of OpenAI's API (`ErrorBody`), in which `detail` is the
 * message, and `param` the part of the request that they are about.
 */

const paramOf = (example: string) => ({ param: Schema.String.annotate({ examples: [example] }) })

export class UnsupportedParameter extends HttpApiError.Problem<UnsupportedParameter>()(
  "UnsupportedParameter",
  ...problem("unsupported_parameter", 400, "The parameter is not supported", paramOf("tools"))
) {}

export class UnknownParameter extends HttpApiError.Problem<UnknownParameter>()(
  "UnknownParameter",
  ...problem("unknown_parameter", 400, "The parameter is not known", paramOf("temprature"))
) {}

export class InvalidValue extends HttpApiError.Problem<InvalidValue>()(
  "InvalidValue",
  ...problem("invalid_value", 400, "The value is not valid", paramOf("messages[0].role"))
) {}

export class ModelNotFound extends HttpApiError.Problem<ModelNotFound>()(
  "ModelNotFound",
  ...problem("model_not_found", 404, "The model does not exist", paramOf("model"))
) {
  static readonly of = (model: string) =>
    new ModelNotFound({ detail: `The model \`${model}\` does not exist or is not available`, param: "model" })
}

export class ContextTooLong extends HttpApiError.Problem<ContextTooLong>()(
  "ContextTooLong",
  ...problem("context_length_exceeded", 400, "The messages are longer than the model's context", paramOf("messages"))
) {
  static readonly of = (limit: number, tokens: number) =>
    new ContextTooLong({
      detail: `The model's context is ${limit} tokens for the user's tier, and the messages have about ${tokens}. Shorten them.`,
      param: "messages"
    })
}

/** The model refuses a part of the request. */
export class RejectedByModel extends HttpApiError.Problem<RejectedByModel>()(
  "RejectedByModel",
  ...problem("rejected_by_model", 400, "The model refuses a part of the request", paramOf("response_format"))
) {}

/** The reply failed in a way that a repetition is not likely to change. */
export class CompletionFailed extends HttpApiError.Problem<CompletionFailed>()(
  "CompletionFailed",
  ...problem("completion_failed", 500, "The model gave no usable answer")
) {}

/** The reply failed, and may succeed later. */
export class CompletionUnavailable extends HttpApiError.Problem<CompletionUnavailable>()(
  "CompletionUnavailable",
  ...problem("completion_unavailable", 503, "The model cannot answer now", retryAfter)
) {}

/** The model's own limit for the day is reached. */
export class ModelExhausted extends HttpApiError.Problem<ModelExhausted>()(
  "ModelExhausted",
  ...problem("model_quota_exhausted", 503, "The model's quota for today is used up", retryAfter)
) {}

/** The form of every refusal under `/v1`. */
export const ErrorBody = Schema.Struct({
  error: Schema.Struct({
    message: Schema.String.annotate({ description: "An explanation for people." }),
    type: Schema.String.annotate({
      description: "`invalid_request_error`, `insufficient_quota`, `rate_limit_error` or `server_error`."
    }),
    param: Schema.NullOr(Schema.String).annotate({ description: "The part of the request that it is about." }),
    code: Schema.NullOr(Schema.String).annotate({ description: "The stable code for clients to branch on." })
  })
}).annotate({
  identifier: "OpenAiError",
  description: "A refusal under `/v1`.",
  examples: [
    {
      error: {
        message: "The parameter is not supported",
        type: "invalid_request_error",
        param: "tools",
        code: "unsupported_parameter"
      }
    }
  ]
})
export type ErrorBody = typeof ErrorBody.Type
