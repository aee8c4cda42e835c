import { Effect } from "effect"
import { maximumAttachments } from "../api/files/File.ts"
import { fileTypeOf, type FileType } from "../api/files/FileTypes.ts"
import type { CompletionMessage, CreateCompletion, UserPart } from "../api/openai/Completion.ts"
import type { InvalidValue, UnsupportedParameter } from "../api/openai/CompletionErrors.ts"
import { storedName } from "../files/Content.ts"
import { invalid, unsupported } from "./Parameters.ts"

/** A file of a message: its bytes, or the id of a file that the user has. */
export type MessageFile = { readonly param: string } & (
  | { readonly bytes: Uint8Array; readonly type: FileType; readonly name: string }
  | { readonly id: string }
)

export interface Turn {
  readonly role: "user" | "model"
  readonly text: string
  readonly files: ReadonlyArray<MessageFile>
}

/** A conversation: its turns alternate, and the first and the last one are the user's. */
export interface Turns {
  readonly systemPrompt: string | null
  readonly before: ReadonlyArray<Turn>
  readonly question: Turn
}

type Refusal = InvalidValue | UnsupportedParameter

/** Texts that belong together. */
const joined = (texts: ReadonlyArray<string>): string => texts.filter((text) => text !== "").join("\n\n")

const decodeBase64 = (text: string): Uint8Array | undefined =>
  /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64") : undefined

const fileOf = Effect.fnUntraced(function* (mediaType: string, base64: string, name: string | undefined, param: string) {
  const type = fileTypeOf(mediaType)
  if (type === undefined) return yield* Effect.fail(invalid(param, `files of the type ${mediaType} are not supported`))
  const bytes = decodeBase64(base64)
  if (bytes === undefined) return yield* Effect.fail(invalid(param, "is not base64"))
  return { param, type, bytes, name: storedName(name ?? type.kind) }
})

const fileOfUri = Effect.fnUntraced(function* (uri: string, name: string | undefined, param: string) {
  const comma = uri.indexOf(",")
  const [, mediaType] = /^data:([^,]+);base64$/i.exec(uri.slice(0, Math.max(0, comma))) ?? []
  if (mediaType === undefined) {
    return yield* Effect.fail(invalid(param, "must be a data: URI in base64; this server fetches no other addresses"))
  }
  return yield* fileOf(mediaType, uri.slice(comma + 1), name, param)
})

type FilePart = Exclude<UserPart, { readonly type: "text" }>

const fileOfPart = Effect.fnUntraced(function* (part: FilePart, param: string): Effect.fn.Return<MessageFile, Refusal> {
  switch (part.type) {
    case "image_url":
      return yield* fileOfUri(part.image_url.url, undefined, `${param}.image_url.url`)
    case "input_audio": {
      const { data, format } = part.input_audio
      return yield* fileOf(`audio/${format}`, data, undefined, `${param}.input_audio.data`)
    }
    case "file": {
      const { file_data: data, file_id: id, filename } = part.file
      if (id != null) return { id, param: `${param}.file.file_id` }
      if (data != null) return yield* fileOfUri(data, filename ?? undefined, `${param}.file.file_data`)
      return yield* Effect.fail(invalid(`${param}.file`, "needs file_data or file_id"))
    }
  }
})

/** Members of an assistant's message that stand for what is not supported. */
const untaken = ["tool_calls", "function_call", "audio"] as const
const isAbsent = (value: unknown) => value == null || (Array.isArray(value) && value.length === 0)

type SystemMessage = Extract<CompletionMessage, { readonly role: "system" | "developer" }>

const isSystem = (message: CompletionMessage): message is SystemMessage =>
  message.role === "system" || message.role === "developer"

const turnOf = Effect.fnUntraced(function* (
  message: Exclude<CompletionMessage, SystemMessage>,
  param: string
): Effect.fn.Return<Turn, Refusal> {
  if (message.role === "assistant") {
    const found = untaken.find((name) => !isAbsent(message[name]))
    if (found !== undefined) return yield* Effect.fail(unsupported(`${param}.${found}`))
    const parts = typeof message.content === "string" ? [message.content] : (message.content ?? []).map(textOf)
    return { role: "model", text: joined([...parts, message.refusal ?? ""]), files: [] }
  }
  if (typeof message.content === "string") return { role: "user", text: message.content, files: [] }
  const text = joined(message.content.flatMap((part) => (part.type === "text" ? [part.text] : [])))
  const files = yield* Effect.forEach([...message.content.entries()], ([index, part]) =>
    part.type === "text" ? Effect.succeed([]) : Effect.map(fileOfPart(part, `${param}.content[${index}]`), (file) => [file])
  )
  return { role: "user", text, files: files.flat() }
})

const textOf = (
  part: { readonly type: "text"; readonly text: string } | { readonly type: "refusal"; readonly refusal: string }
) => (part.type === "text" ? part.text : part.refusal)

/** Neighbours of one role as one turn. */
const merge = (turns: ReadonlyArray<Turn>): Array<Turn> => {
  const merged: Array<Turn> = []
  for (const turn of turns) {
    const last = merged.at(-1)
    if (last?.role === turn.role) {
      merged[merged.length - 1] = {
        role: turn.role,
        text: joined([last.text, turn.text]),
        files: [...last.files, ...turn.files]
      }
    } else merged.push(turn)
  }
  return merged
}

/** The conversation of a request, as the model takes one. */
export const turnsOf = Effect.fnUntraced(function* ({
  messages
}: Pick<CreateCompletion, "messages">): Effect.fn.Return<Turns, Refusal> {
  const system: Array<string> = []
  const turns: Array<Turn> = []
  for (const [index, message] of messages.entries()) {
    const param = `messages[${index}]`
    if (isSystem(message)) {
      if (turns.length > 0) return yield* Effect.fail(invalid(`${param}.role`, `${message.role} messages come before all others`))
      system.push(...(typeof message.content === "string" ? [message.content] : message.content.map(({ text }) => text)))
      continue
    }
    const turn = yield* turnOf(message, param)
    if (turn.text.trim() === "" && turn.files.length === 0) {
      return yield* Effect.fail(invalid(`${param}.content`, "must not be blank"))
    }
    turns.push(turn)
  }
  const before = merge(turns)
  const question = before.pop()
  if (question?.role !== "user") return yield* Effect.fail(invalid("messages", "the last message must be the user's"))
  if ((before[0] ?? question).role !== "user") {
    return yield* Effect.fail(invalid("messages", "the first message after the system messages must be the user's"))
  }
  if (turns.reduce((sum, { files }) => sum + files.length, 0) > maximumAttachments) {
    return yield* Effect.fail(invalid("messages", `at most ${maximumAttachments} files are taken`))
  }
  return { systemPrompt: joined(system) || null, before, question }
})
