import { createHash } from "node:crypto"
import { Effect, Ref, Stream } from "effect"
import { EmptyFile, FileTooLarge } from "../api/files/FileErrors.ts"
import { type FileType, maximumBytes } from "../api/files/FileTypes.ts"
import type { BodyEnded } from "../ops/StreamedBody.ts"
import { makeTextCheck, proveType } from "./Inspection.ts"

export type Body = Stream.Stream<Uint8Array, BodyEnded>

/** What has come of a body. */
export interface Received {
  readonly bytes: number
  readonly sha256: string
  /** The first piece. */
  readonly head: Uint8Array
}

/**
 * Passes the pieces of a body on, and notes what came; fails at the piece that is too much. `end` is what came, once all
 * pieces are read.
 */
export const receive = Effect.fnUntraced(function* <E>(
  type: FileType,
  body: Body,
  onPiece: (piece: Uint8Array) => Effect.Effect<void, E>
) {
  const hash = createHash("sha256")
  const checkText = type.kind === "text" ? makeTextCheck() : () => Effect.void
  const received = yield* Ref.make<Omit<Received, "sha256">>({ bytes: 0, head: new Uint8Array() })
  const limit = maximumBytes[type.kind]
  const pieces = body.pipe(
    Stream.tap((piece) =>
      Effect.gen(function* () {
        const before = yield* Ref.get(received)
        const bytes = before.bytes + piece.length
        if (bytes > limit) return yield* new FileTooLarge({ limit })
        if (before.bytes === 0) yield* proveType(type, piece)
        yield* checkText(piece)
        yield* onPiece(piece)
        hash.update(piece)
        yield* Ref.set(received, { bytes, head: before.bytes === 0 ? piece : before.head })
      })
    )
  )
  const end = Effect.gen(function* () {
    const { bytes, head } = yield* Ref.get(received)
    if (bytes === 0) return yield* new EmptyFile()
    yield* checkText(undefined)
    return { bytes, head, sha256: hash.digest("hex") }
  })
  return { pieces, end }
})
