import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

export class TooManyStreams extends HttpApiError.Problem<TooManyStreams>()(
  "TooManyStreams",
  ...problem("too_many_streams", 429, "The user has as many streams open as allowed", retryAfter)
) {}
