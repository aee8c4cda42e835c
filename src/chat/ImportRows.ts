import { v7 as uuid } from "uuid"
import { noGrounding } from "../api/chat/Grounding.ts"
import type { ImportedMessage } from "../api/chat/ImportChatroom.ts"
import type { BlockDetail } from "../api/chat/Message.ts"
import { type FileKind, fileTypeOf } from "../api/files/FileTypes.ts"
import { storedName } from "../files/Content.ts"
import type { PlannedMessage } from "./ImportPlan.ts"

/** A file that the importing user has. */
export interface OwnFile {
  readonly id: string
  readonly kind: FileKind
  readonly bytes: number
  readonly tokens: number
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The question's files: those of the user's, and the names of the others, under ids that no file has. */
const attachmentsOf = ({ attachments = [] }: ImportedMessage, own: ReadonlyMap<string, OwnFile>) =>
  attachments.length === 0
    ? null
    : attachments.map(({ bytes, id, name, type }) => {
        const file = own.get(id) ?? { id: uuid(), kind: fileTypeOf(type)?.kind ?? "text", bytes, tokens: 0 }
        return { ...file, name: storedName(name), type }
      })

const groundingOf = ({ citations = [], searches = [], sources = [], urls = [] }: ImportedMessage) =>
  sources.length + searches.length + urls.length === 0 ? null : { ...noGrounding, sources, citations, searches, urls }

const detailOf = ({ error }: ImportedMessage): BlockDetail | null => {
  if (error?.reason === undefined) return null
  const { about = "question", categories = [], reason } = error
  return { reason, about, categories }
}

/** The row of a message, by the names of the columns. */
export const rowOf = ({ source, ...ids }: PlannedMessage, own: ReadonlyMap<string, OwnFile>, supersededBy: string | null) => {
  const isReply = source.role === "model"
  const hasOutput = isReply && source.output != null && isJson(source.content)
  return {
    ...ids,
    role: source.role,
    content: source.content,
    attempt: isReply ? 1 : 0,
    superseded_by: supersededBy,
    finish_reason: isReply ? (source.finishReason ?? null) : null,
    truncated: isReply && source.truncated === true,
    error_code: ids.status === "failed" ? (source.error?.code ?? "model_unavailable") : null,
    error_message: ids.status === "failed" ? (source.error?.message ?? "The reply failed.") : null,
    error_detail: ids.status === "failed" ? detailOf(source) : null,
    model: isReply ? (source.model ?? null) : null,
    output: hasOutput ? source.content : null,
    thoughts: isReply ? (source.thoughts ?? null) : null,
    grounding: isReply ? groundingOf(source) : null,
    attachments: isReply ? null : attachmentsOf(source, own),
    created_at: source.createdAt,
    completed_at: source.completedAt ?? source.createdAt
  }
}

/** The newest reply but one of each question is superseded by the one after it. */
export const supersedingOf = (planned: ReadonlyArray<PlannedMessage>): ReadonlyMap<string, string> => {
  const newest = new Map<string, string>()
  const superseding = new Map<string, string>()
  for (const { id, reply_to: question } of planned) {
    if (question === null) continue
    const before = newest.get(question)
    if (before !== undefined) superseding.set(before, id)
    newest.set(question, id)
  }
  return superseding
}
