import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import type { HttpServerRequest, HttpServerResponse } from "effect/http"
import type { AdmittedSlot } from "./Admission.ts"
import { paced } from "./PacedResponse.ts"
import { holdUntilWritten } from "./WrittenResponse.ts"

/** Completes when the client disconnects. */
export const disconnected = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    const done = () => resume(Effect.void)
    if (response.destroyed) return done()
    response.on("close", done)
    return Effect.sync(() => response.off("close", done))
  })

/** Keeps the slot until the response is written, and has a large body written piece by piece. */
export const keepUntilWritten = (
  request: HttpServerRequest.HttpServerRequest,
  slot: AdmittedSlot,
  response: HttpServerResponse.HttpServerResponse
) => {
  const nodeResponse = NodeHttpServerRequest.toServerResponse(request)
  const { bytes, response: watched } = paced(response, slot.progress)
  const incoming = NodeHttpServerRequest.toIncomingMessage(request)
  if (bytes === undefined) slot.release()
  // By then the platform has written the response.
  else queueMicrotask(() => holdUntilWritten(incoming, nodeResponse, slot, bytes))
  return watched
}
