import { Effect } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { FileId } from "../api/files/File.ts"
import { Uploads } from "../files/Uploads.ts"
import { UserFiles } from "../files/UserFiles.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { invalid } from "./Parameters.ts"
import type { MessageFile, Turn } from "./Turns.ts"

/** Makes the function that stores the files of a conversation as files of the user, and counts the tokens of its turns. */
export const makeStoreTurns = Effect.gen(function* () {
  const uploads = yield* Uploads
  const userFiles = yield* UserFiles

  /** The file of the user: one with these bytes, or the one of this id. */
  const keepFile = Effect.fnUntraced(function* (user: CurrentSession, file: MessageFile) {
    const { param } = file
    if (!("id" in file)) {
      return yield* uploads.store(user, file).pipe(
        Effect.catchTags({
          EmptyFile: () => Effect.fail(invalid(param, "is an empty file")),
          FileUnreadable: ({ detail }) => Effect.fail(invalid(param, detail)),
          FileTooLarge: ({ detail }) => Effect.fail(invalid(param, detail))
        })
      )
    }
    const unknown = () => Effect.fail(invalid(param, "is not one of the user's files"))
    return yield* FileId.makeEffect(file.id).pipe(
      Effect.flatMap((id) => userFiles.get(user.userId, id)),
      Effect.catch(unknown)
    )
  })

  return Effect.fnUntraced(function* (user: CurrentSession, turns: ReadonlyArray<Turn>) {
    const files = yield* Effect.forEach(turns, (turn) => Effect.forEach(turn.files, (file) => keepFile(user, file)))
    const attachments = new Map(files.flat().map((file) => [file.id, file]))
    const fileTokens = [...attachments.values()].reduce((sum, { tokens }) => sum + tokens, 0)
    return {
      turns: turns.map(({ role, text }, index) => {
        const ids = (files[index] ?? []).map(({ id }) => id)
        return { role, text, ...(ids.length === 0 ? {} : { files: ids }) }
      }),
      attachments: [...attachments.keys()],
      tokens: turns.reduce((sum, { text }) => sum + estimateTokens(text), fileTokens)
    }
  })
})
