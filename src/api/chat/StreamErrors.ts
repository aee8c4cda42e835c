import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

export class TooManyStreams extends HttpApiError.Problem<TooManyStreams>()(
  "TooManyStreams",
  ...problem("too_many_streams", 429, "The user has as many streams open as allowed", retryAfter)
) {}

/** As many replies are being watched as one process takes: another one may have room. */
export class StreamsBusy extends HttpApiError.Problem<StreamsBusy>()(
  "StreamsBusy",
  ...problem("overloaded", 503, "Too busy to take the request", retryAfter)
) {}
