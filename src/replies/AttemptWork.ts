import type { AttemptCalls } from "./AttemptCalls.ts"
import type { PromptSummary } from "./PromptSummary.ts"

/** What an attempt has made besides text: what it sent to the model, and the calls that it cost. */
export interface Work {
  /** The ids of the messages, and of their files, that were sent. */
  readonly messageIds: ReadonlyArray<string>
  /** The summary that was sent with them. */
  readonly summary: PromptSummary | null
  /** Whether files of the question were sent. */
  readonly hasFiles: boolean
  readonly calls: AttemptCalls
}
