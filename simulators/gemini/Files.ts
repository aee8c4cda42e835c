import { createHash } from "node:crypto"
import { isRecord } from "./Body.ts"
import { GoogleError, invalid } from "./GoogleError.ts"

/** A file of a request, as the simulator saw it. */
export interface SeenFile {
  readonly mimeType: string
  readonly bytes: number
  readonly sha256: string
  /** Whether it was part of the request, or fetched from an address. */
  readonly source: "inline" | "address"
}

/** Bytes of a request: https://ai.google.dev/gemini-api/docs/file-input-methods */
export const MAXIMUM_REQUEST = 100 * 1_048_576

/** Types that the models read: https://ai.google.dev/gemini-api/docs/file-input-methods */
const TYPES = /^(?:image\/(?:png|jpeg|webp|heic|heif)|application\/pdf|audio\/(?:wav|mp3|aiff|aac|ogg|flac|m4a)|text\/plain)$/

const seen = (mimeType: string, bytes: Uint8Array, source: SeenFile["source"]): SeenFile => {
  if (!TYPES.test(mimeType)) throw invalid(`Unsupported MIME type: ${mimeType}`)
  return { mimeType, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex"), source }
}

const fetchFile = async (uri: string, mimeType: string): Promise<SeenFile> => {
  const response = await fetch(uri).catch(() => undefined)
  if (response?.ok !== true) throw invalid("Cannot fetch content from the provided URL.")
  return seen(mimeType, new Uint8Array(await response.arrayBuffer()), "address")
}

const readFile = async (part: unknown): Promise<SeenFile | undefined> => {
  const { fileData, inlineData } = isRecord(part) ? part : {}
  if (isRecord(inlineData) && typeof inlineData["data"] === "string" && typeof inlineData["mimeType"] === "string") {
    const { data, mimeType } = inlineData
    const bytes = Buffer.from(data, "base64")
    if (bytes.toString("base64") !== data) throw invalid("Invalid value at 'contents.parts.inline_data.data' (TYPE_BYTES).")
    return seen(mimeType, bytes, "inline")
  }
  if (isRecord(fileData) && typeof fileData["fileUri"] === "string" && typeof fileData["mimeType"] === "string") {
    return fetchFile(fileData["fileUri"], fileData["mimeType"])
  }
  return undefined
}

const REFUSAL = /\[\[rejectfile(?: ([\w.-]+))?\]\]/

/** Refuses a turn with files whose text has `[[rejectfile]]`, or `[[rejectfile MODEL]]` when that model is asked. */
const refuseTurn = (parts: ReadonlyArray<unknown>, model: string) => {
  const text = parts.map((part) => (isRecord(part) ? String(part["text"] ?? "") : "")).join("")
  const [found, only = model] = REFUSAL.exec(text) ?? []
  if (found !== undefined && only === model) throw new GoogleError(400)
}

/**
 * Reads the files of a request. In the text that is returned, and logged, the hash of a file stands in the place of its
 * base64.
 */
export const readFiles = async (text: string, body: unknown, model: string) => {
  const files: Array<SeenFile> = []
  const contents = isRecord(body) && Array.isArray(body["contents"]) ? body["contents"] : []
  const hashes = new Map<unknown, string>()
  for (const content of contents) {
    const parts = isRecord(content) && Array.isArray(content["parts"]) ? content["parts"] : []
    const before = files.length
    for (const part of parts) {
      const file = await readFile(part)
      if (file === undefined) continue
      files.push(file)
      if (file.source === "inline") hashes.set(part.inlineData, file.sha256)
    }
    if (files.length > before) refuseTurn(parts, model)
  }
  const replaced = (_: string, value: unknown) =>
    isRecord(value) && hashes.has(value) ? { ...value, data: hashes.get(value) } : value
  return { files, text: hashes.size === 0 ? text : JSON.stringify(body, replaced) }
}

export const isFilePart = (part: unknown): boolean => {
  const { fileData, inlineData } = isRecord(part) ? part : {}
  return (
    (isRecord(inlineData) && typeof inlineData["data"] === "string" && typeof inlineData["mimeType"] === "string") ||
    (isRecord(fileData) && typeof fileData["fileUri"] === "string" && typeof fileData["mimeType"] === "string")
  )
}

const modalityOf = (mimeType: string): string =>
  mimeType.startsWith("image/") ? "IMAGE" : mimeType.startsWith("audio/") ? "AUDIO" : "DOCUMENT"

/** Tokens of a file, by a rule of the simulator's own. */
export const fileTokens = ({ bytes }: SeenFile): number => 258 + Math.ceil(bytes / 10_000)

/** The tokens of a prompt with files, by modality. */
export const tokenDetails = (promptTokens: number, files: ReadonlyArray<SeenFile>): ReadonlyArray<object> => {
  const counts = new Map<string, number>()
  for (const file of files) {
    const modality = modalityOf(file.mimeType)
    counts.set(modality, (counts.get(modality) ?? 0) + fileTokens(file))
  }
  const ofFiles = [...counts.values()].reduce((sum, count) => sum + count, 0)
  return [["TEXT", promptTokens - ofFiles] as const, ...counts].map(([modality, tokenCount]) => ({ modality, tokenCount }))
}

/** The files of a request, as the echo of its answer names them. */
export const describeFiles = (files: ReadonlyArray<SeenFile>): string =>
  files
    .map(({ bytes, mimeType, sha256 }) => `I see ${mimeType}, ${bytes.toLocaleString("en")} bytes, sha256 ${sha256}. `)
    .join("")
