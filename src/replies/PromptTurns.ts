import { maximumAttachedBytes, maximumAttachments } from "../api/files/File.ts"
import type { FileKind } from "../api/files/FileTypes.ts"
import type { GivenInput } from "../chat/GivenInput.ts"
import type { Turn } from "../gemini/Prompt.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import type { PromptSummary } from "./PromptSummary.ts"

/** A file of a question, as the question's row has it. */
export interface AttachedFile {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly kind: FileKind
  readonly bytes: number
  readonly tokens: number
  readonly deleted: boolean
}

/** A turn with the message it comes from. */
export interface SourcedTurn extends Pick<Turn, "role" | "text"> {
  readonly messageId: string
  /** The question's files: those that are sent, and those in whose place a line is. Absent without. */
  readonly files?: ReadonlyArray<AttachedFile & { readonly isSent: boolean }>
}

/** The tokens of a turn. */
export const tokensOf = ({ files = [], text }: Pick<SourcedTurn, "files" | "text">): number =>
  files.reduce((sum, { isSent, tokens }) => sum + (isSent ? tokens : 0), estimateTokens(text))

/** Ids of the messages and of the files that a prompt has. */
export const promptIds = (summary: PromptSummary | null, turns: ReadonlyArray<SourcedTurn>): ReadonlyArray<string> => {
  const inSummary = summary?.first == null ? [] : [summary.first.id]
  const sent = turns.flatMap(({ files = [], messageId }) => [
    messageId,
    ...files.flatMap(({ id, isSent }) => (isSent ? [id] : []))
  ])
  return [...new Set([...inSummary, ...sent])]
}

/** A question with its answer, as a prompt has both. */
export interface AnsweredQuestion {
  readonly questionId: string
  readonly question: string
  readonly answerId: string
  readonly answer: string
  /** The question's; null without. */
  readonly attachments?: ReadonlyArray<AttachedFile> | null
}

/** What of files a prompt may have. */
interface FileBudget {
  tokens: number
  bytes: number
  count: number
}

/** Takes a file into the budget, if it is still there, the model reads it, and it fits. */
const takeFile = (file: AttachedFile, kinds: ReadonlySet<FileKind>, budget: FileBudget): boolean => {
  if (file.deleted || !kinds.has(file.kind)) return false
  if (file.tokens > budget.tokens || file.bytes > budget.bytes || budget.count < 1) return false
  budget.tokens -= file.tokens
  budget.bytes -= file.bytes
  budget.count--
  return true
}

const userTurn = (
  { attachments, question, questionId }: Pick<AnsweredQuestion, "attachments" | "question" | "questionId">,
  kinds: ReadonlySet<FileKind>,
  budget: FileBudget
): SourcedTurn => ({
  role: "user",
  text: question,
  messageId: questionId,
  ...(attachments == null || attachments.length === 0
    ? {}
    : { files: attachments.map((file) => ({ ...file, isSent: takeFile(file, kinds, budget) })) })
})

const noKinds: ReadonlySet<FileKind> = new Set()

/**
 * The turns to send: the question, preceded by the newest earlier questions with their answers, as many as the budget
 * holds. Unanswered questions are left out, so the roles always alternate. The question's own files are sent even above the
 * budget of tokens; those of earlier questions as far as it holds them.
 */
export const fit = (
  asked: Pick<AnsweredQuestion, "questionId" | "question" | "attachments">,
  earlierNewestFirst: ReadonlyArray<AnsweredQuestion>,
  systemPrompt: string | null,
  contextTokens: number,
  kinds: ReadonlySet<FileKind> = noKinds
): Array<SourcedTurn> => {
  const files = { tokens: Infinity, bytes: maximumAttachedBytes, count: maximumAttachments }
  const own = userTurn(asked, kinds, files)
  let left = contextTokens - tokensOf(own) - estimateTokens(systemPrompt ?? "")
  const turns: Array<SourcedTurn> = [own]
  for (const exchange of earlierNewestFirst) {
    const { answer, answerId } = exchange
    left -= estimateTokens(exchange.question) + estimateTokens(answer)
    if (left < 0) break
    files.tokens = left
    turns.unshift(userTurn(exchange, kinds, files), { role: "model", text: answer, messageId: answerId })
    left = files.tokens
  }
  return turns
}

/** The turns that a question outside of chats brings, and the question. All of them are sent: its acceptance has counted them. */
export const givenTurns = (
  { attachments, question, questionId }: Pick<AnsweredQuestion, "attachments" | "question" | "questionId">,
  { files, turns }: GivenInput,
  kinds: ReadonlySet<FileKind>
): Array<SourcedTurn> => {
  const byId = new Map((attachments ?? []).map((file) => [file.id, file]))
  return [...turns, { role: "user" as const, text: question, files }].map(({ files: ids = [], role, text }) => {
    const ofTurn = ids.flatMap((id) => byId.get(id) ?? [])
    const sent = ofTurn.map((file) => ({ ...file, isSent: !file.deleted && kinds.has(file.kind) }))
    return { role, text, messageId: questionId, ...(sent.length === 0 ? {} : { files: sent }) }
  })
}
