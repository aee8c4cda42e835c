/** What a model takes a file for. */
export type FileKind = "image" | "pdf" | "audio" | "text"

const mebibyte = 1_048_576

/** Bytes that a file of the kind may have. */
export const maximumBytes: Readonly<Record<FileKind, number>> = {
  image: 10 * mebibyte,
  pdf: 20 * mebibyte,
  audio: 20 * mebibyte,
  text: mebibyte
}
export const maximumPages = 200

/** Types that are proved by their bytes, and the other names that clients have for them. */
export const provedTypes: Readonly<Record<string, ReadonlyArray<string>>> = {
  "image/png": ["image/apng", "image/x-png"],
  "image/jpeg": ["image/jpg", "image/pjpeg"],
  "image/webp": [],
  "image/heic": ["image/heic-sequence"],
  "image/heif": ["image/heif-sequence"],
  "application/pdf": ["application/x-pdf"],
  "audio/wav": ["audio/x-wav", "audio/wave", "audio/vnd.wave"],
  "audio/mp3": ["audio/mpeg", "audio/mpeg3", "audio/x-mp3"],
  "audio/aac": ["audio/x-aac", "audio/aacp"],
  "audio/ogg": ["application/ogg", "audio/opus"],
  "audio/flac": ["audio/x-flac"],
  "audio/m4a": ["audio/x-m4a", "audio/mp4"]
}

const canonical = new Map(Object.entries(provedTypes).flatMap(([type, others]) => [type, ...others].map((name) => [name, type])))

/** Types of text besides `text/*` and those that end with `+json` or `+xml`. */
const textTypes = [
  "application/json",
  "application/x-ndjson",
  "application/xml",
  "application/javascript",
  "application/typescript",
  "application/yaml",
  "application/toml",
  "application/sql",
  "application/x-sh",
  "application/x-python",
  "application/graphql",
  "image/svg+xml"
]
const textAliases = new Set([...textTypes, "application/x-javascript", "application/ecmascript", "application/x-yaml"])

/** Media types that an upload may have, as media ranges. */
export const supportedTypes: readonly [string, ...Array<string>] = ["text/*", ...Object.keys(provedTypes), ...textTypes]

export interface FileType {
  /** The name under which the type is known here, and to the model. */
  readonly name: string
  readonly kind: FileKind
}

const kindOf = (type: string): FileKind => (type === "application/pdf" ? "pdf" : type.startsWith("image/") ? "image" : "audio")

const isText = (type: string): boolean =>
  type.length <= 100 &&
  (/^text\/[\w.+-]+$/.test(type) || textAliases.has(type) || /^application\/[\w.-]+\+(?:json|xml)$/.test(type))

/** The type that a media type names; undefined for one that is not supported. Text is UTF-8. */
export const fileTypeOf = (mediaType: string): FileType | undefined => {
  const [essence = "", ...parameters] = mediaType.toLowerCase().split(";")
  const type = essence.trim()
  const charset = parameters.map((parameter) => /^\s*charset\s*=\s*"?([^\s"]+)"?\s*$/.exec(parameter)?.[1]).find(Boolean)
  const proved = canonical.get(type)
  if (proved !== undefined) return { name: proved, kind: kindOf(proved) }
  return isText(type) && /^(?:utf-?8|us-ascii)$/.test(charset ?? "utf-8") ? { name: type, kind: "text" } : undefined
}
