import type {
  Blob,
  Content,
  FileData,
  FunctionCallingConfig,
  GenerateContentConfig,
  GenerationConfig,
  GoogleSearch,
  HarmBlockThreshold,
  HarmCategory,
  MediaResolution,
  Modality,
  Part,
  PartMediaResolution,
  PartMediaResolutionLevel,
  SafetySetting,
  ServiceTier,
  ThinkingConfig,
  ThinkingLevel,
  Tool,
  ToolConfig,
  VideoMetadata
} from "@google/genai"
import { isRecord } from "./Body.ts"
import { invalid } from "./GoogleError.ts"

/** Throws Google's 400 for a value that the field does not take. */
type Check = (value: unknown, path: string) => void

/** A check of every field of a type of the SDK; null for one that this API does not have, though the SDK's type does. */
type Fields<T> = { readonly [Name in keyof Required<T>]: Check | null }

const snake = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const typed =
  (type: string, is: (value: unknown) => boolean): Check =>
  (value, path) => {
    if (!is(value)) throw invalid(`Invalid value at '${path}' (${type}).`)
  }

const text = typed("TYPE_STRING", (value) => typeof value === "string")
const bytes = typed("TYPE_BYTES", (value) => typeof value === "string" && /^[\w+/-]+={0,2}$/.test(value))
const flag = typed("TYPE_BOOL", (value) => typeof value === "boolean")
const number = typed("TYPE_FLOAT", (value) => typeof value === "number")
const integer = typed("TYPE_INT32", (value) => Number.isInteger(value))
/** An object whose fields this simulator does not read. */
const unread: Check = typed("TYPE_MESSAGE", isRecord)
const anything: Check = () => {}
const oneOf = <Value extends string>(...values: ReadonlyArray<Value>) =>
  typed("TYPE_ENUM", (value) => values.some((known) => known === value))

const list =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) throw invalid(`Invalid value at '${path}' (TYPE_LIST).`)
    for (const [index, item] of value.entries()) check(item, `${path}[${index}]`)
  }

const message =
  <T>(fields: Fields<T>): Check =>
  (value, path) => {
    if (!isRecord(value)) throw invalid(`Invalid value at '${path}' (TYPE_MESSAGE).`)
    const checks = new Map<string, Check | null>(Object.entries(fields))
    for (const [name, field] of Object.entries(value)) {
      const check = checks.get(name)
      const at = path === "" ? "" : ` at '${path}'`
      if (!check) throw invalid(`Invalid JSON payload received. Unknown name "${name}"${at}: Cannot find field.`)
      check(field, path === "" ? snake(name) : `${path}.${snake(name)}`)
    }
  }

const part = message<Part>({
  text,
  thought: flag,
  thoughtSignature: bytes,
  inlineData: message<Blob>({ data: bytes, mimeType: text, displayName: null }),
  fileData: message<FileData>({ fileUri: text, mimeType: text, displayName: null }),
  mediaResolution: message<PartMediaResolution>({
    level: oneOf<`${PartMediaResolutionLevel}`>(
      "MEDIA_RESOLUTION_LOW",
      "MEDIA_RESOLUTION_MEDIUM",
      "MEDIA_RESOLUTION_HIGH",
      "MEDIA_RESOLUTION_ULTRA_HIGH"
    ),
    numTokens: integer
  }),
  videoMetadata: message<VideoMetadata>({ startOffset: text, endOffset: text, fps: number }),
  functionCall: unread,
  functionResponse: unread,
  executableCode: unread,
  codeExecutionResult: unread,
  toolCall: unread,
  toolResponse: unread,
  audioTranscription: unread,
  partMetadata: unread,
  mediaProcessing: unread,
  speechMetadata: unread
})

const content = message<Content>({ role: text, parts: list(part) })

const thinkingConfig = message<ThinkingConfig>({
  thinkingLevel: oneOf<`${ThinkingLevel}`>("MINIMAL", "LOW", "MEDIUM", "HIGH"),
  thinkingBudget: integer,
  includeThoughts: flag
})

/** The SDK's `GenerationConfig` lacks a field that its requests have. */
const generationConfig = message<GenerationConfig & Pick<GenerateContentConfig, "imageConfig">>({
  temperature: number,
  topP: number,
  topK: number,
  candidateCount: integer,
  maxOutputTokens: integer,
  stopSequences: list(text),
  responseMimeType: text,
  responseSchema: unread,
  responseJsonSchema: anything,
  responseFormat: anything,
  responseModalities: list(oneOf<`${Modality}`>("TEXT", "IMAGE", "AUDIO", "VIDEO")),
  responseLogprobs: flag,
  logprobs: integer,
  presencePenalty: number,
  frequencyPenalty: number,
  seed: integer,
  mediaResolution: oneOf<`${MediaResolution}`>("MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"),
  thinkingConfig,
  speechConfig: unread,
  imageConfig: unread,
  audioTranscriptionConfig: unread,
  translationConfig: unread,
  enableAffectiveDialog: flag,
  enableEnhancedCivicAnswers: flag,
  audioTimestamp: null,
  modelSelectionConfig: null,
  routingConfig: null
})

const safetySetting = message<SafetySetting>({
  category: oneOf<`${HarmCategory}`>(
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY"
  ),
  threshold: oneOf<`${HarmBlockThreshold}`>(
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF"
  ),
  method: null
})

const tool = message<Tool>({
  googleSearch: message<GoogleSearch>({
    searchTypes: unread,
    timeRangeFilter: unread,
    blockingConfidence: null,
    excludeDomains: null
  }),
  urlContext: message({}),
  codeExecution: message({}),
  functionDeclarations: list(unread),
  googleMaps: unread,
  googleSearchRetrieval: unread,
  computerUse: unread,
  fileSearch: unread,
  mcpServers: list(unread),
  retrieval: null,
  enterpriseWebSearch: null,
  exaAiSearch: null,
  parallelAiSearch: null
})

const toolConfig = message<ToolConfig>({
  functionCallingConfig: message<FunctionCallingConfig>({
    mode: text,
    allowedFunctionNames: list(text),
    streamFunctionCallArguments: null
  }),
  retrievalConfig: unread,
  includeServerSideToolInvocations: flag
})

/** What the SDK keeps to itself: settings of its client, and the fields that it puts into `generationConfig`. */
type NotSent = "httpOptions" | "abortSignal" | "automaticFunctionCalling" | "automaticContinuation"
type RequestFields = Omit<GenerateContentConfig, NotSent | "imageConfig" | keyof GenerationConfig> &
  Record<"contents" | "generationConfig" | "model", unknown>

/**
 * Checks the names and types of all fields of a GenerateContentRequest (https://ai.google.dev/api/generate-content). The
 * names are those of the SDK's types, so that a new version of the SDK that has another does not compile here.
 */
export const checkFields: (body: Readonly<Record<string, unknown>>) => void = (body) => request(body, "")

const request = message<RequestFields>({
  model: text,
  contents: list(content),
  systemInstruction: content,
  generationConfig,
  safetySettings: list(safetySetting),
  tools: list(tool),
  toolConfig,
  cachedContent: text,
  continuationToken: bytes,
  serviceTier: oneOf<`${ServiceTier}`>("flex", "standard", "priority"),
  store: flag,
  labels: unread,
  modelArmorConfig: null,
  generationOutputConfig: null
})
