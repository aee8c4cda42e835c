import { Context, Effect, Layer } from "effect"
import { shownName } from "../files/Content.ts"
import { Files, type StorageFailure } from "../files/Files.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import type { Turn } from "../gemini/Prompt.ts"
import type { PromptFile } from "../gemini/PromptFile.ts"
import type { SourcedTurn } from "./PromptTurns.ts"

/** Seconds for which Google may read a file from its address. */
const addressSeconds = 900

type TurnFile = NonNullable<SourcedTurn["files"]>[number]

const unavailable = ({ detail }: StorageFailure) => new GeminiError({ kind: "unavailable", detail })

/** Turns with their files as the model gets them. */
export class TurnFiles extends Context.Service<
  TurnFiles,
  {
    /** Reads nothing yet: bytes are read while the request is sent. */
    readonly prepare: (userId: string, turns: ReadonlyArray<SourcedTurn>) => Effect.Effect<ReadonlyArray<Turn>, GeminiError>
  }
>()("chat-backend/replies/TurnFiles") {
  static readonly layer = Layer.effect(
    TurnFiles,
    Effect.gen(function* () {
      const files = yield* Files

      const prepareFile = (userId: string, file: TurnFile): Effect.Effect<PromptFile, GeminiError> => {
        const { bytes, id, isSent, kind, name, type } = file
        if (!isSent) return Effect.succeed({ kind: "note", text: `[file: ${shownName(name)}]` })
        const key = { userId, fileId: id }
        const read = files.get(key, { from: 0, length: bytes })
        if (kind === "text") return Effect.succeed({ kind, heading: `File: ${shownName(name)}`, bytes, read })
        if (files.url === null) return Effect.succeed({ kind: "bytes", mimeType: type, bytes, read })
        return files.url(key, addressSeconds).pipe(
          Effect.map((uri) => ({ kind: "address" as const, mimeType: type, uri })),
          Effect.mapError(unavailable)
        )
      }

      const prepare: TurnFiles["Service"]["prepare"] = (userId, turns) =>
        Effect.forEach(turns, ({ files: ofTurn, role, text }) =>
          ofTurn === undefined
            ? Effect.succeed({ role, text })
            : Effect.map(
                Effect.forEach(ofTurn, (file) => prepareFile(userId, file)),
                (prepared) => ({ role, text, files: prepared })
              )
        )

      return TurnFiles.of({ prepare })
    })
  )
}
