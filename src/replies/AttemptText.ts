import type { DeltaLog } from "../stream/DeltaLog.ts"
import type { ReplyAttempt } from "../stream/DeltaOutbox.ts"
import { makeThoughts } from "./TextLimit.ts"

/** Bytes of UTF-8 that a reply's thoughts may have: 64 KiB. */
const maximumThoughtBytes = 65_536

/** What an attempt writes: its text and its thoughts, each piece of which is streamed at once. */
export type AttemptText = ReturnType<typeof makeAttemptText>

export const makeAttemptText = (attempt: ReplyAttempt, append: DeltaLog["Service"]["append"]) => {
  let text = ""
  return {
    add: (piece: string): void => {
      text += piece
      append(attempt, piece)
    },
    /** All pieces. */
    get text(): string {
      return text
    },
    thoughts: makeThoughts(maximumThoughtBytes, (piece) => append({ ...attempt, isThought: true }, piece))
  }
}
