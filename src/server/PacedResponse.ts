import { Readable } from "node:stream"
import { Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"

/** Bytes of a piece. A client that takes none in `ClientShares.endIdle`'s time loses its connection: some 2 KB a second. */
export const pieceBytes = 65_536
/** Bytes that a response keeps besides its body, or instead of one whose length is unknown. */
export const overheadBytes = 1_024
const streamedBytes = 2 * pieceBytes

export interface Paced {
  readonly response: HttpServerResponse.HttpServerResponse
  /** Bytes that the process keeps until the response is written; undefined for an event stream, which watches its client itself. */
  readonly bytes: number | undefined
}

const pieces = function* (body: Uint8Array, onPiece: () => void) {
  for (let at = 0; at < body.length; at += pieceBytes) {
    onPiece()
    yield body.subarray(at, at + pieceBytes)
  }
}

/** A body as a stream of pieces, of which it has one in memory twice. */
export const inPieces = (body: Uint8Array, onPiece: () => void): Readable =>
  Readable.from(pieces(body, onPiece), { objectMode: false, highWaterMark: pieceBytes })

/** Has a large body written piece by piece, and `onPiece` called whenever the client has made room for the next one. */
export const paced = (response: HttpServerResponse.HttpServerResponse, onPiece: () => void): Paced => {
  const { body, headers, status } = response
  if (body._tag === "Raw") return { response, bytes: undefined }
  if (body._tag === "Stream") {
    const watched = Stream.tap(body.stream, () => Effect.sync(onPiece))
    return { response: HttpServerResponse.stream(watched, { status, headers }), bytes: streamedBytes }
  }
  if (body._tag !== "Uint8Array") return { response, bytes: overheadBytes }
  const bytes = overheadBytes + body.contentLength
  if (body.contentLength <= pieceBytes) return { response, bytes }
  return { response: HttpServerResponse.raw(inPieces(body.body, onPiece), { status, headers }), bytes }
}
