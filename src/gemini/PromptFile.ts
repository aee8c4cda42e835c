import type { Part } from "@google/genai"
import { Effect, Stream } from "effect"
import { v4 as uuid } from "uuid"
import { GeminiError } from "./GeminiError.ts"

/** A file of a turn, as the model gets it. */
export type PromptFile =
  /** A line in the file's place. */
  | { readonly kind: "note"; readonly text: string }
  /** Google reads it from the address. */
  | { readonly kind: "address"; readonly mimeType: string; readonly uri: string }
  /** It is part of the request, in base64. */
  | { readonly kind: "bytes"; readonly mimeType: string; readonly bytes: number; readonly read: FileStream }
  /** Text in UTF-8, below a heading. */
  | { readonly kind: "text"; readonly heading: string; readonly bytes: number; readonly read: FileStream }

type FileStream = Stream.Stream<Uint8Array, { readonly detail: string }>
export type SentBytes = Extract<PromptFile, { readonly kind: "bytes" }>

/** KiB that one process may have in memory of the files that it is sending. */
export const maximumInFlight = 65_536
/** A stored piece, the same in base64, and what the connection has not yet taken. */
const streamedKibibytes = 1_024
/** A text is in memory as bytes, as a string, and in the request's JSON, twice. */
const copies = 6

/** KiB of memory that a request with these files takes while it is sent. */
export const inFlightOf = (files: ReadonlyArray<PromptFile>): number => {
  const texts = files.reduce((sum, file) => sum + (file.kind === "text" ? file.bytes : 0), 0)
  const streamed = files.some(({ kind }) => kind === "bytes") ? streamedKibibytes : 0
  return Math.min(maximumInFlight, streamed + Math.ceil((copies * texts) / 1_024))
}

const unreadable = ({ detail }: { readonly detail: string }) =>
  new GeminiError({ kind: "unavailable", detail: `a file could not be read: ${detail}` })

/** The parts of a turn, and the files whose bytes are put into the request when it is sent, by their names in it. */
export const partsOf = Effect.fnUntraced(function* (files: ReadonlyArray<PromptFile>) {
  const sent = new Map<string, SentBytes>()
  const parts = yield* Effect.forEach(files, (file): Effect.Effect<Part, GeminiError> => {
    switch (file.kind) {
      case "note":
        return Effect.succeed({ text: file.text })
      case "address":
        return Effect.succeed({ fileData: { fileUri: file.uri, mimeType: file.mimeType } })
      case "text":
        return Stream.runCollect(file.read).pipe(
          Effect.mapError(unreadable),
          Effect.map((pieces) => ({ text: `${file.heading}\n\n${Buffer.concat(pieces).toString("utf8")}` }))
        )
      case "bytes": {
        // Random, so that no text of a user contains it.
        const name = uuid()
        sent.set(name, file)
        return Effect.succeed({ inlineData: { mimeType: file.mimeType, data: name } })
      }
    }
  })
  return { parts, sent }
})

const bytesOfBase64 = (bytes: number): number => 4 * Math.ceil(bytes / 3)

/** Three bytes are four characters, so that one or two are left of a piece for the next. */
const toBase64 = (bytes: Stream.Stream<Uint8Array, { readonly detail: string }>) =>
  bytes.pipe(
    Stream.mapAccum(
      () => Buffer.alloc(0),
      (left, piece) => {
        const all = left.length === 0 ? Buffer.from(piece.buffer, piece.byteOffset, piece.length) : Buffer.concat([left, piece])
        const whole = all.length - (all.length % 3)
        return [Buffer.from(all.subarray(whole)), [Buffer.from(all.toString("base64", 0, whole))]] as const
      },
      { onHalt: (left) => [Buffer.from(left.toString("base64"))] }
    ),
    Stream.mapError(unreadable)
  )

/**
 * The body of a request whose JSON names the files instead of having them: what is sent has them in base64, read while they
 * are sent, so that the process never has one in memory.
 */
export const bodyWith = (json: string, sent: ReadonlyMap<string, SentBytes>) => {
  let length = 0
  let rest = json
  let body: Stream.Stream<Uint8Array, GeminiError> = Stream.empty
  const addText = (text: string) => {
    const bytes = Buffer.from(text)
    length += bytes.length
    body = Stream.concat(body, Stream.make(bytes))
  }
  for (const [name, file] of sent) {
    const at = rest.indexOf(name)
    addText(rest.slice(0, at))
    rest = rest.slice(at + name.length)
    length += bytesOfBase64(file.bytes)
    body = Stream.concat(body, toBase64(file.read))
  }
  addText(rest)
  return { length, body }
}
