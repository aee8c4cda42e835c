import { Problem } from "../../client/src/Problem.ts"

export { Problem, Unreachable } from "../../client/src/Problem.ts"

/** What went wrong, for people. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Problem)) return error instanceof Error ? error.message : String(error)
  const [first] = error.errors
  return first === undefined ? error.message : `${first.path.replace(/^\//, "")}: ${first.message}`
}
