import { Effect, Option, Stream } from "effect"
import { fileTypeFromBuffer } from "file-type"
import { imageSize } from "image-size"
import { FileTooLarge, FileUnreadable } from "../api/files/FileErrors.ts"
import { fileTypeOf, type FileType, maximumPages } from "../api/files/FileTypes.ts"
import type { ByteRange, StorageFailure } from "./Files.ts"
import { readPdf } from "./Pdf.ts"

/** Bytes in which the size of an image must be: cameras put previews and colour profiles before it. */
const imageHeadBytes = 2_097_152

/** Estimates, as Google documents them: https://ai.google.dev/gemini-api/docs/tokens */
const imageTokens = 1_100
const pageTokens = 560
const audioTokensPerSecond = 32
/** Bytes of a second of audio at 64 kbit/s, and of a page whose PDF does not tell how many it has. */
const audioBytesPerSecond = 8_000
const bytesPerPage = 50_000

/** What is known of a file besides its type. */
interface Facts {
  readonly tokens: number
  readonly width: number | null
  readonly height: number | null
  readonly pages: number | null
}

const unreadable = (detail: string) => new FileUnreadable({ detail })

/** Types that agree although their names differ: one container. */
const familyOf = (type: string | undefined): string | undefined => (type === "image/heif" ? "image/heic" : type)

/** Fails when the first bytes are not those of the type; text is proved by `makeTextCheck`. */
export const proveType = Effect.fnUntraced(function* (type: FileType, head: Uint8Array) {
  if (type.kind === "text") return
  const found = yield* Effect.orElseSucceed(
    Effect.tryPromise(() => fileTypeFromBuffer(head)),
    () => undefined
  )
  const name = found === undefined ? undefined : fileTypeOf(found.mime)?.name
  if (familyOf(name) !== familyOf(type.name)) {
    return yield* unreadable(`The bytes are not ${type.name}${found === undefined ? "" : ` but ${found.mime}`}`)
  }
})

/** A check of text that comes in pieces: UTF-8 without NUL. */
export const makeTextCheck = () => {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  const decode = Option.liftThrowable((piece: Uint8Array | undefined) => decoder.decode(piece, { stream: piece !== undefined }))
  return (piece: Uint8Array | undefined): Effect.Effect<void, FileUnreadable> => {
    const text = decode(piece)
    if (Option.isNone(text)) return Effect.fail(unreadable("The text is not UTF-8"))
    return text.value.includes("\u0000") ? Effect.fail(unreadable("The text has a NUL")) : Effect.void
  }
}

const sizeOf = Option.liftThrowable((head: Uint8Array) => imageSize(head))

/** The byte rate that the header of a WAV file tells. */
const waveRate = (head: Uint8Array): number => {
  const view = Buffer.from(head.buffer, head.byteOffset, head.byteLength)
  const at = view.indexOf("fmt ")
  return at === -1 || at + 20 > view.length ? 0 : view.readUInt32LE(at + 16)
}

type Get = (range: ByteRange) => Stream.Stream<Uint8Array, StorageFailure>

/** Reads what is known of a stored file from its bytes. */
export const inspect = Effect.fnUntraced(function* (
  type: FileType,
  bytes: number,
  head: Uint8Array,
  get: Get
): Effect.fn.Return<Facts, FileUnreadable | FileTooLarge | StorageFailure> {
  const none = { width: null, height: null, pages: null }
  const read = (from: number, length: number) => {
    const wanted = Math.max(0, Math.min(length, bytes - from))
    if (wanted === 0) return Effect.succeed(Buffer.alloc(0))
    return Effect.map(Stream.runCollect(get({ from, length: wanted })), (pieces) => Buffer.concat(pieces))
  }
  switch (type.kind) {
    case "text":
      return { ...none, tokens: Math.ceil(bytes / 4) }
    case "audio": {
      const rate = type.name === "audio/wav" ? waveRate(head) : 0
      return { ...none, tokens: Math.ceil((bytes / Math.max(rate, audioBytesPerSecond)) * audioTokensPerSecond) }
    }
    case "image": {
      const quick = sizeOf(head)
      const found = Option.isSome(quick) ? quick : sizeOf(yield* read(0, imageHeadBytes))
      if (Option.isNone(found) || !(found.value.width > 0 && found.value.height > 0)) {
        return yield* unreadable("The image has no readable header")
      }
      return { ...none, width: Math.round(found.value.width), height: Math.round(found.value.height), tokens: imageTokens }
    }
    case "pdf": {
      const facts = yield* readPdf(bytes, read)
      if (facts === undefined) return yield* unreadable("The PDF has no end")
      if (facts.isEncrypted) return yield* unreadable("The PDF is encrypted")
      if (facts.pages !== null && facts.pages > maximumPages) {
        return yield* new FileTooLarge({ limit: maximumPages, detail: `The PDF has more than ${maximumPages} pages` })
      }
      const pages = facts.pages ?? Math.ceil(bytes / bytesPerPage)
      return { ...none, pages: facts.pages, tokens: Math.max(1, pages) * pageTokens }
    }
  }
})
