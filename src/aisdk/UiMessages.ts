import type { UiMessage, UiMetadata, UiPart } from "../api/aisdk/UiMessage.ts"
import type { Message } from "../api/chat/Message.ts"
import { contentPath, filesPath } from "../files/Content.ts"

export const sourcePart = ({ title, url }: Message["sources"][number], index: number) => ({
  type: "source-url" as const,
  sourceId: String(index + 1),
  url,
  title
})

/** What is known of a reply from its beginning. */
export const beginningOf = ({ chatroomId, createdAt, replyTo }: Message): UiMetadata => ({
  chatroomId,
  questionId: replyTo,
  createdAt
})

/** What is known of a reply once it has ended. */
export const endOf = ({ error, model, status, truncated, usage }: Message): UiMetadata => ({
  status,
  model,
  truncated,
  error,
  usage
})

const textPart = (text: string): ReadonlyArray<UiPart> => (text === "" ? [] : [{ type: "text", text, state: "done" }])

const questionParts = ({ attachments, content }: Message, files: string): ReadonlyArray<UiPart> => [
  ...attachments.map(({ id, name, type }) => ({
    type: "file" as const,
    mediaType: type,
    filename: name,
    url: contentPath(id, files)
  })),
  ...textPart(content)
]

const replyParts = ({ content, sources, thoughts = null }: Message): ReadonlyArray<UiPart> => {
  const reasoning = thoughts === null || thoughts === "" ? [] : [thoughts]
  return [
    { type: "step-start" },
    ...reasoning.map((text) => ({ type: "reasoning" as const, id: "reasoning-1", text, state: "done" as const })),
    ...textPart(content),
    ...sources.map(sourcePart)
  ]
}

/** A message as `useChat` keeps it: for a reply, what its stream leaves there. */
export const toUiMessage = (message: Message, files = filesPath): UiMessage =>
  message.role === "user"
    ? {
        id: message.id,
        role: "user",
        metadata: { chatroomId: message.chatroomId, createdAt: message.createdAt },
        parts: questionParts(message, files)
      }
    : {
        id: message.id,
        role: "assistant",
        metadata: { ...beginningOf(message), ...endOf(message) },
        parts: replyParts(message)
      }
