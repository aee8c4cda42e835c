import type { SourcedTurn } from "./PromptTurns.ts"

/** Whether a turn came with the question, as all turns of a completion do. */
const isOwn = (turns: ReadonlyArray<SourcedTurn>) => {
  const own = turns.at(-1)?.messageId
  return ({ messageId }: SourcedTurn): boolean => messageId === own
}
const hasSentFiles = ({ files = [] }: SourcedTurn): boolean => files.some(({ isSent }) => isSent)

/** Whether the question has files. */
export const hasOwnFiles = (turns: ReadonlyArray<SourcedTurn>): boolean => turns.filter(isOwn(turns)).some(hasSentFiles)

/** Whether earlier questions have files. */
export const hasEarlierFiles = (turns: ReadonlyArray<SourcedTurn>): boolean => {
  const isOwnTurn = isOwn(turns)
  return turns.some((turn) => !isOwnTurn(turn) && hasSentFiles(turn))
}

/** The turns without the files of earlier questions: one that this model refuses must not fail every later question. */
export const withoutEarlierFiles = (turns: ReadonlyArray<SourcedTurn>): Array<SourcedTurn> => {
  const isOwnTurn = isOwn(turns)
  return turns.map((turn) =>
    turn.files === undefined || isOwnTurn(turn)
      ? turn
      : { ...turn, files: turn.files.map((file) => ({ ...file, isSent: false })) }
  )
}
