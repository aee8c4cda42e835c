import { ByteSize, Effect } from "effect"
import type { HttpServerRequest, HttpServerResponse } from "effect/http"
import { Unavailable } from "../api/Problems.ts"
import { BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import { toResponse } from "./Problems.ts"
import { defaultBody, type Route } from "./Routes.ts"

/**
 * Requests with a body over the usual limit that are answered at once in a process, because each takes some 50 MiB with all
 * that is made of its body; and those of one address, so that it cannot take all places.
 */
const largeBodies = { permits: 4, waiting: 60, maxWait: "10 seconds" } as const
const largeBodiesOfAddress = { permits: 1, waiting: 10, maxWait: "10 seconds" } as const

const mebibyte = ByteSize.mebibytes(1)

/** Whether a request may have a body of many megabytes. */
export const hasLargeBody = ({ maximumBody }: Route, { headers }: HttpServerRequest.HttpServerRequest): boolean =>
  maximumBody > mebibyte && (headers["content-length"] === undefined || Number(headers["content-length"]) > defaultBody)

/** Has requests with large bodies answered a few at a time. */
export const makeInTurns = () => {
  const all = makeBulkhead(largeBodies)
  const ofAddress = makeBulkhead(largeBodiesOfAddress)
  return <E, R>(address: string, handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.catchIf(
      ofAddress.run(address, all.run("", handled)),
      (error): error is Extract<E | BulkheadFull, BulkheadFull> => error instanceof BulkheadFull,
      () => toResponse(Unavailable.because("overloaded"))
    )
}
