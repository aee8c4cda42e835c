import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

export class TooManyStreams extends HttpApiError.Problem<TooManyStreams>()(
  "TooManyStreams",
  ...problem("too_many_streams", 429, "Too many open streams", retryAfter)
) {}

/** The process has its maximum of open streams; another process may have room. */
export class StreamsBusy extends HttpApiError.Problem<StreamsBusy>()(
  "StreamsBusy",
  ...problem("overloaded", 503, "The server is too busy", retryAfter)
) {}
