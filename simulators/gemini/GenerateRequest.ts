import { isRecord } from "./Body.ts"
import { checkFields } from "./Fields.ts"
import { fileTokens, isFilePart, type SeenFile } from "./Files.ts"
import { invalid } from "./GoogleError.ts"
import { type AnswerFormat, readFormat } from "./JsonAnswer.ts"
import { readThinking } from "./ThinkingConfig.ts"

/** The parts of a generateContent request that the simulator's answer depends on. */
export interface GenerateRequest {
  readonly turns: number
  /** The last turn, which is the user's. */
  readonly prompt: string
  /** The system instruction, or "". */
  readonly system: string
  readonly promptTokens: number
  /** The form of the answer; undefined for text. */
  readonly format: AnswerFormat | undefined
  /** Of the hop that the request goes on from. */
  readonly continuationToken: string | undefined
  /** Whether the answer shows its thoughts. */
  readonly includeThoughts: boolean
  /** Texts before which the answer ends. */
  readonly stop: ReadonlyArray<string>
  /** The names of the tools that the model may use. */
  readonly tools: ReadonlySet<string>
  /** Of all turns. */
  readonly files: ReadonlyArray<SeenFile>
}

/** Four characters a token, rounded up: Google's rule of thumb. */
export const countTokens = (characters: number): number => Math.ceil(characters / 4)

/** Validates a request as strictly as Google does; throws Google's 400. */
export const readGenerateRequest = (body: unknown, model: string, files: ReadonlyArray<SeenFile> = []): GenerateRequest => {
  if (!isRecord(body)) throw invalid("Invalid JSON payload received. Root element must be a message.")
  checkFields(body)
  checkRange(body["generationConfig"], "temperature", 2)
  checkRange(body["generationConfig"], "topP", 1)
  const system = body["systemInstruction"] === undefined ? "" : readSystem(body["systemInstruction"])
  const texts = readContents(body["contents"])
  const characters = texts.reduce((sum, text) => sum + text.length, system.length)
  return {
    turns: texts.length,
    prompt: texts.at(-1) ?? "",
    system,
    promptTokens: files.reduce((sum, file) => sum + fileTokens(file), countTokens(characters)),
    format: readFormat(body["generationConfig"]),
    continuationToken: readToken(body["continuationToken"]),
    includeThoughts: readThinking(body["generationConfig"], model),
    stop: readStop(body["generationConfig"]),
    tools: readTools(body["tools"]),
    files
  }
}

const readToken = (token: unknown): string | undefined => {
  if (token === undefined || (typeof token === "string" && token !== "")) return token
  throw invalid("Invalid value at 'continuation_token' (TYPE_BYTES).")
}

const readTools = (tools: unknown): ReadonlySet<string> =>
  new Set(Array.isArray(tools) ? tools.flatMap((tool: unknown) => (isRecord(tool) ? Object.keys(tool) : [])) : [])

/** The tokens of a countTokens request, which has either contents or a whole generateContentRequest. */
export const readCountRequest = (body: unknown, model: string): number => {
  const wrapped = isRecord(body) ? body["generateContentRequest"] : undefined
  return readGenerateRequest(wrapped ?? body, model).promptTokens
}

const checkRange = (config: unknown, field: "temperature" | "topP", maximum: number) => {
  if (config === undefined) return
  if (!isRecord(config)) throw invalid("Invalid value at 'generation_config'.")
  const value = config[field]
  if (value === undefined) return
  const name = field === "topP" ? "top_p" : field
  if (typeof value !== "number") throw invalid(`Invalid value at 'generation_config.${name}' (TYPE_FLOAT).`)
  if (value >= 0 && value <= maximum) return
  const title = field === "topP" ? "TopP" : "Temperature"
  throw invalid(
    `* GenerateContentRequest.generation_config.${name}: ${title} must be in the range [0.0, ${maximum.toFixed(1)}]: ${value}`
  )
}

/** Google takes five: https://ai.google.dev/api/generate-content#generationconfig */
const maximumStopSequences = 5

const readStop = (config: unknown): ReadonlyArray<string> => {
  const stop = isRecord(config) ? (config["stopSequences"] ?? []) : []
  const texts = Array.isArray(stop) ? stop.filter((text: unknown): text is string => typeof text === "string" && text !== "") : []
  if (!Array.isArray(stop) || texts.length < stop.length || stop.length > maximumStopSequences) {
    throw invalid("* GenerateContentRequest.generation_config.stop_sequences: must be at most 5 texts that are not empty")
  }
  return texts
}

const readSystem = (value: unknown): string => {
  if (!isRecord(value)) throw invalid("Invalid value at 'system_instruction'.")
  return readParts(value["parts"], "system_instruction")
}

/** The texts of the turns. The roles must alternate, and the first and the last turn must be the user's. */
const readContents = (contents: unknown): ReadonlyArray<string> => {
  if (!Array.isArray(contents) || contents.length === 0) {
    throw invalid("* GenerateContentRequest.contents: contents is not specified")
  }
  const texts = contents.map((content: unknown, index) => {
    const expected = index % 2 === 0 ? "user" : "model"
    if (!isRecord(content)) throw invalid(`Invalid value at 'contents[${index}]'.`)
    const role = content["role"]
    if (role !== "user" && role !== "model") throw invalid("Please use a valid role: user, model.")
    if (role !== expected) {
      throw invalid(`Please ensure that turns alternate between user and model: contents[${index}] is ${role}.`)
    }
    return readParts(content["parts"], `contents[${index}]`)
  })
  if (texts.length % 2 === 0) throw invalid("Please ensure that the last turn is a user's.")
  return texts
}

const readParts = (parts: unknown, path: string): string => {
  if (!Array.isArray(parts) || parts.length === 0) {
    throw invalid(`* GenerateContentRequest.${path}.parts: contents.parts must not be empty.`)
  }
  return parts
    .map((part: unknown, index) => {
      const text = isRecord(part) ? part["text"] : undefined
      if (typeof text === "string" && text !== "") return text
      if (isFilePart(part)) return ""
      throw invalid(
        `* GenerateContentRequest.${path}.parts[${index}].data: required oneof field 'data' must have one initialized field`
      )
    })
    .join("")
}
