import type { ImportedMessage } from "../api/chat/ImportChatroom.ts"

/** A message to insert, with new ids. Its names are those of the columns. */
export interface PlannedMessage {
  readonly id: string
  readonly source: ImportedMessage
  readonly reply_to: string | null
  readonly parent_id: string | null
  readonly status: "completed" | "failed" | "cancelled"
}

interface Fault {
  readonly path: string
  readonly message: string
}

/** What a question may have. */
const maximumCharacters = 32_000

const faultOfQuestion = ({ content }: ImportedMessage): string | undefined => {
  // Empty is a question of files alone; a copy of a shared conversation has not even these.
  if (content !== "" && content.trim() === "") return "must not be blank"
  return content.length > maximumCharacters && [...content].length > maximumCharacters
    ? `must have at most ${maximumCharacters} characters`
    : undefined
}

/** A reply that had not ended is kept as one that was cancelled. */
const statusOf = ({ role, status = "completed" }: ImportedMessage): PlannedMessage["status"] =>
  role === "user" ? "completed" : status === "completed" || status === "failed" ? status : "cancelled"

/** The messages as a tree, in their order, or what is wrong with them. Each message names only messages before it. */
export const planOf = (messages: ReadonlyArray<ImportedMessage>, newId: () => string) => {
  const faults: Array<Fault> = []
  const planned = new Map<string, PlannedMessage>()
  let lastCompleted: PlannedMessage | undefined

  /** What a question follows: a reply without an answer is skipped, as it is when a question is sent. */
  const followed = (reply: PlannedMessage | undefined): string | null => {
    if (reply === undefined) return null
    if (reply.status === "completed") return reply.id
    const question = planned.get(reply.source.replyTo ?? reply.source.parentId ?? "")
    return question?.parent_id ?? null
  }

  for (const [index, source] of messages.entries()) {
    const fault = (member: string, message: string) => faults.push({ path: `/messages/${index}/${member}`, message })
    if (planned.has(source.id)) fault("id", "is the id of another message")
    const message = { id: newId(), source, status: statusOf(source) }
    if (source.role === "user") {
      const wrong = faultOfQuestion(source)
      if (wrong !== undefined) fault("content", wrong)
      const named = source.parentId == null ? undefined : planned.get(source.parentId)
      if (source.parentId != null && named?.source.role !== "model") fault("parentId", "is not a reply before it")
      const parent = source.parentId === undefined ? (lastCompleted?.id ?? null) : followed(named)
      planned.set(source.id, { ...message, reply_to: null, parent_id: parent })
    } else {
      const question = planned.get(source.replyTo ?? source.parentId ?? "")
      if (question?.source.role !== "user") fault("replyTo", "is not a question before it")
      const reply = { ...message, reply_to: question?.id ?? null, parent_id: null }
      planned.set(source.id, reply)
      if (reply.status === "completed") lastCompleted = reply
    }
  }
  return { planned, faults }
}
