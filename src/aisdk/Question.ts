import { Result } from "effect"
import type { SentMessage } from "../api/aisdk/UiMessage.ts"
import { maximumContent } from "../api/chat/Message.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { FileId, maximumAttachments } from "../api/files/File.ts"
import { fileTypeOf, type FileType } from "../api/files/FileTypes.ts"
import { isStorable } from "../api/Schemas.ts"

/** A file of a question: one that the user has, or the bytes of a new one. */
export type QuestionFile = { readonly path: string } & (
  | { readonly id: FileId }
  | { readonly name: string; readonly type: FileType | undefined; readonly bytes: Uint8Array }
)

/** The newest question of a request. */
export interface Question {
  /** The client's own id of it, or ours if it comes from us. */
  readonly clientId: string
  /** The assistant's message before it; undefined when the request has none. */
  readonly previousReply: string | undefined
  readonly content: string
  readonly files: ReadonlyArray<QuestionFile>
  /** Where its parts are in the request, as a JSON Pointer. */
  readonly path: string
}

type Fault = ValidationFailed["errors"][number]

const uuid = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
/** The address of an uploaded file: its path, at this server or at the front end that passes it on. */
const uploadedFile = new RegExp(`^(?:https?://[^/?#]+)?(?:/[^?#]*)?/files/(${uuid})(?:/content)?$`)

const base64 = /^[\w+/-]*={0,2}$/

/** What a `data:` URL (RFC 2397) has; undefined when it is malformed. */
const dataOf = (url: string): { readonly type: string; readonly bytes: Uint8Array } | undefined => {
  const comma = url.indexOf(",")
  if (!/^data:/i.test(url) || comma === -1) return undefined
  const [head, body] = [url.slice("data:".length, comma), url.slice(comma + 1)]
  const [, type = "", isBase64] = /^(.*?)(;\s*base64)?$/i.exec(head) ?? []
  if (isBase64 !== undefined) return base64.test(body) ? { type, bytes: Buffer.from(body, "base64") } : undefined
  const text = Result.try(() => decodeURIComponent(body))
  return Result.isSuccess(text) ? { type, bytes: Buffer.from(text.success) } : undefined
}

const fileOf = (part: SentMessage["parts"][number], path: string): QuestionFile | Fault => {
  const { filename, mediaType, url } = part
  if (typeof url !== "string") return { path: `${path}/url`, message: "must be text" }
  const [, id] = uploadedFile.exec(url) ?? []
  if (id !== undefined) return { path, id: FileId.make(id.toLowerCase()) }
  const data = dataOf(url)
  if (data === undefined) return { path: `${path}/url`, message: "must be a data: URL or the address of an uploaded file" }
  const type = fileTypeOf(typeof mediaType === "string" && mediaType !== "" ? mediaType : data.type)
  return { path, name: typeof filename === "string" ? filename : "file", type, bytes: data.bytes }
}

const isFault = (part: string | QuestionFile | Fault): part is Fault => typeof part === "object" && "message" in part
const isFile = (part: string | QuestionFile | Fault): part is QuestionFile => typeof part === "object" && !isFault(part)

const partOf = (part: SentMessage["parts"][number], path: string): string | QuestionFile | Fault => {
  if (part["type"] === "file") return fileOf(part, path)
  if (part["type"] !== "text") return { path, message: "must be a text or a file" }
  const { text } = part
  if (typeof text !== "string") return { path: `${path}/text`, message: "must be text" }
  return isStorable(text) ? text : { path: `${path}/text`, message: "must not contain NUL or ill-formed Unicode" }
}

/** What is wrong with the question as a whole. */
const faultOf = (content: string, files: ReadonlyArray<QuestionFile>, path: string): ReadonlyArray<Fault> => {
  if (content === "" ? files.length === 0 : !/\S/u.test(content)) return [{ path, message: "must have text or a file" }]
  if (content.length > 2 * maximumContent || [...content].length > maximumContent)
    return [{ path, message: `must not have more than ${maximumContent} characters` }]
  return files.length > maximumAttachments ? [{ path, message: `must not have more than ${maximumAttachments} files` }] : []
}

/** The newest question of the messages. Its texts are paragraphs of one. */
export const newestQuestion = (messages: ReadonlyArray<SentMessage>): Result.Result<Question, ValidationFailed> => {
  const index = messages.findLastIndex(({ role }) => role === "user")
  const message = messages[index]
  if (message === undefined) {
    return Result.fail(new ValidationFailed({ errors: [{ path: "/messages", message: "must have a message of the user" }] }))
  }
  const path = `/messages/${index}/parts`
  const parts = message.parts.map((part, at) => partOf(part, `${path}/${at}`))
  const content = parts.filter((part) => typeof part === "string").join("\n\n")
  const files = parts.filter(isFile)
  const faults = parts.filter(isFault)
  const errors = faults.length > 0 ? faults : faultOf(content, files, path)
  if (errors.length > 0) return Result.fail(new ValidationFailed({ errors }))
  const previousReply = messages.slice(0, index).findLast(({ role }) => role === "assistant")?.id
  return Result.succeed({ clientId: message.id, previousReply, content, files, path })
}
