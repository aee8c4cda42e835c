import type { HttpServerRequest } from "effect/http"
import { requestedWait } from "./RequestedWait.ts"
import type { Route } from "./Routes.ts"

/** How long a handler may take; a request that asks to wait gets its wait, and the time to look again, on top, and an upload its body's time. */
const handlerMillis = 15_000
const lookMillis = 3_000
const uploadingMillis = 600_000
/** A reply ends within ten minutes of its first attempt. */
const replyMillis = 660_000

/** Milliseconds that the route's handler may take for this request. */
export const timeoutOf = (route: Route, request: HttpServerRequest.HttpServerRequest): number => {
  if (route.admission === "uploading") return uploadingMillis
  if (route.awaitsReply) return replyMillis
  const wait = requestedWait(request)
  return wait === undefined ? handlerMillis : handlerMillis + wait * 1_000 + lookMillis
}
