import { inflateSync } from "node:zlib"
import { Data, Effect, Option } from "effect"

/** Reads bytes of the file; fewer at its end. */
type Read<E> = (from: number, length: number) => Effect.Effect<Buffer, E>

/** The structure cannot be followed. Readers repair such files, so it is not an error of the file. */
class Unknown extends Data.TaggedError("Unknown") {}

/** Bytes of the end in which the last `startxref` is, of a dictionary, and of a stream before and after it is inflated. */
const tailBytes = 4_096
const dictionaryBytes = 65_536
const streamBytes = 2_097_152
const inflatedBytes = 8_388_608
/** Sections of the cross-reference that are followed, and subsections of one. */
const maximumSections = 64

/** Where an object is: at an offset of the file, or in an object stream. */
type Place = { readonly offset: number } | { readonly stream: number; readonly index: number }
type Lookup<E> = (id: number) => Effect.Effect<Place | undefined, E | Unknown>

interface Section<E> {
  readonly dictionary: string
  readonly lookup: Lookup<E>
}

const numberIn = (dictionary: string, name: string): number | undefined => {
  const found = new RegExp(`/${name}\\s+(\\d{1,10})(?![\\d.])`).exec(dictionary)?.[1]
  return found === undefined ? undefined : Number(found)
}
const referenceIn = (dictionary: string, name: string): number | undefined => {
  const found = new RegExp(`/${name}\\s+(\\d{1,10})\\s+\\d+\\s+R`).exec(dictionary)?.[1]
  return found === undefined ? undefined : Number(found)
}
const numbersIn = (dictionary: string, name: string): ReadonlyArray<number> | undefined =>
  new RegExp(`/${name}\\s*\\[([\\d\\s]*)\\]`).exec(dictionary)?.[1]?.trim().split(/\s+/).map(Number)

const inflate = Option.liftThrowable((bytes: Uint8Array) => inflateSync(bytes, { maxOutputLength: inflatedBytes }))

/** The rows of a stream before the PNG predictor (PDF 32000-1, 7.4.4.4), of which writers use Sub and Up. */
const unpredicted = (bytes: Buffer, columns: number): Buffer | undefined => {
  const rows = Math.floor(bytes.length / (columns + 1))
  const out = Buffer.alloc(rows * columns)
  for (let row = 0; row < rows; row++) {
    const type = bytes[row * (columns + 1)]
    if (type === undefined || type > 2) return undefined
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column
      const before = type === 1 ? (column === 0 ? 0 : out[at - 1]) : type === 2 ? out[at - columns] : 0
      out[at] = ((bytes[row * (columns + 1) + 1 + column] ?? 0) + (before ?? 0)) & 0xff
    }
  }
  return out
}

/** What the cross-reference of a PDF tells: whether it is encrypted, and its pages, null when they cannot be found. */
export interface PdfFacts {
  readonly isEncrypted: boolean
  readonly pages: number | null
}

/**
 * Reads a few objects of a PDF: the trailers, which say whether it is encrypted, its catalogue and the root of its pages.
 * Undefined when it has no cross-reference at its end, as one that was cut has none. All sizes are bounded.
 */
export const readPdf = Effect.fnUntraced(function* <E>(size: number, read: Read<E>) {
  const shift = Math.max(0, (yield* read(0, 1_024)).toString("latin1").indexOf("%PDF-"))
  const tail = (yield* read(Math.max(0, size - tailBytes), tailBytes)).toString("latin1")
  const start = [...tail.matchAll(/startxref\s+(\d{1,10})/g)].at(-1)?.[1]
  if (start === undefined) return undefined

  /** The dictionary and the inflated stream of an object at an offset. */
  const streamAt = Effect.fnUntraced(function* (offset: number) {
    const head = (yield* read(offset + shift, dictionaryBytes)).toString("latin1")
    const [begin = "", dictionary = ""] = /^\s*\d+\s+\d+\s+obj\s*(<<[^]*?>>)\s*stream\r?\n/.exec(head) ?? []
    const length = numberIn(dictionary, "Length")
    if (length === undefined || referenceIn(dictionary, "Length") !== undefined || length > streamBytes)
      return yield* new Unknown()
    const raw = yield* read(offset + shift + begin.length, length)
    const plain = /\/Filter\b/.test(dictionary) ? inflate(raw) : Option.some(raw)
    if (Option.isNone(plain) || (/\/Filter\b/.test(dictionary) && !/\/Filter\s*\[?\s*\/FlateDecode/.test(dictionary)))
      return yield* new Unknown()
    const isPredicted = (numberIn(dictionary, "Predictor") ?? 1) >= 10
    const body = isPredicted ? unpredicted(plain.value, numberIn(dictionary, "Columns") ?? 1) : plain.value
    return body === undefined ? yield* new Unknown() : { dictionary, body }
  })

  /** A table of rows of twenty bytes, of which single ones are read. */
  const readTable = Effect.fnUntraced(function* (offset: number): Effect.fn.Return<Section<E>, E | Unknown> {
    const parts: Array<{ readonly first: number; readonly count: number; readonly at: number }> = []
    let at = offset + shift + 4
    while (parts.length < maximumSections) {
      const head = (yield* read(at, dictionaryBytes)).toString("latin1")
      const [whole, first, count] = /^\s*(\d{1,10})\s+(\d{1,10})[^\S\r\n]*\r?\n?/.exec(head) ?? []
      if (whole === undefined) {
        const dictionary = /^\s*trailer\s*(<<[^]*)/.exec(head)?.[1]
        if (dictionary === undefined) return yield* new Unknown()
        const end = dictionary.indexOf("startxref")
        const lookup: Lookup<E> = Effect.fnUntraced(function* (id) {
          const part = parts.find((each) => id >= each.first && id < each.first + each.count)
          if (part === undefined) return undefined
          const row = (yield* read(part.at + 20 * (id - part.first), 20)).toString("latin1")
          const found = /^(\d{10}) \d{5} n/.exec(row)?.[1]
          return found === undefined ? undefined : { offset: Number(found) }
        })
        return { dictionary: end === -1 ? dictionary : dictionary.slice(0, end), lookup }
      }
      parts.push({ first: Number(first), count: Number(count), at: at + whole.length })
      at += whole.length + 20 * Number(count)
    }
    return yield* new Unknown()
  })

  const readStream = Effect.fnUntraced(function* (offset: number): Effect.fn.Return<Section<E>, E | Unknown> {
    const { body, dictionary } = yield* streamAt(offset)
    const [typeWidth = 0, secondWidth = 0, thirdWidth = 0] = numbersIn(dictionary, "W") ?? []
    const width = typeWidth + secondWidth + thirdWidth
    const index = numbersIn(dictionary, "Index") ?? [0, numberIn(dictionary, "Size") ?? 0]
    const field = (at: number, length: number) => (length === 0 ? 0 : length > 6 ? Number.NaN : body.readUIntBE(at, length))
    const lookup: Lookup<E> = (id) => {
      let row = 0
      for (let part = 0; part + 1 < index.length; part += 2) {
        const [first = 0, count = 0] = index.slice(part, part + 2)
        if (id >= first && id < first + count) {
          const at = (row + id - first) * width
          if (width === 0 || at + width > body.length) return Effect.fail(new Unknown())
          const type = typeWidth === 0 ? 1 : field(at, typeWidth)
          const second = field(at + typeWidth, secondWidth)
          if (type === 1) return Effect.succeed({ offset: second })
          return Effect.succeed(
            type === 2 ? { stream: second, index: field(at + typeWidth + secondWidth, thirdWidth) } : undefined
          )
        }
        row += count
      }
      return Effect.succeed(undefined)
    }
    return { dictionary, lookup }
  })

  const pagesOf = Effect.gen(function* () {
    const sections: Array<Section<E>> = []
    const pending = [Number(start)]
    const seen = new Set<number>()
    for (let offset = pending.shift(); offset !== undefined; offset = pending.shift()) {
      if (seen.has(offset) || seen.size >= maximumSections) continue
      seen.add(offset)
      const isTable = (yield* read(offset + shift, 4)).toString("latin1") === "xref"
      const section = yield* isTable ? readTable(offset) : readStream(offset)
      if (/\/Encrypt\s+\d+\s+\d+\s+R|\/Encrypt\s*<</.test(section.dictionary)) return { isEncrypted: true, pages: null }
      sections.push(section)
      const { dictionary } = section
      pending.push(...[numberIn(dictionary, "XRefStm"), numberIn(dictionary, "Prev")].filter((next) => next !== undefined))
    }

    const place = Effect.fnUntraced(function* (id: number | undefined) {
      if (id === undefined) return yield* new Unknown()
      for (const { lookup } of sections) {
        const found = yield* lookup(id)
        if (found !== undefined) return found
      }
      return yield* new Unknown()
    })

    const objectOf = Effect.fnUntraced(function* (id: number | undefined) {
      const found = yield* place(id)
      if ("offset" in found) {
        const text = (yield* read(found.offset + shift, dictionaryBytes)).toString("latin1")
        const end = text.indexOf("endobj")
        return end === -1 ? text : text.slice(0, end)
      }
      const container = yield* place(found.stream)
      if (!("offset" in container)) return yield* new Unknown()
      const { body, dictionary } = yield* streamAt(container.offset)
      const first = numberIn(dictionary, "First") ?? 0
      const offsets = body.subarray(0, first).toString("latin1").trim().split(/\s+/).map(Number)
      const from = offsets[2 * found.index + 1]
      if (from === undefined) return yield* new Unknown()
      return body.subarray(first + from, first + (offsets[2 * found.index + 3] ?? body.length)).toString("latin1")
    })

    const root = sections.map(({ dictionary }) => referenceIn(dictionary, "Root")).find((id) => id !== undefined)
    const pages = numberIn(yield* objectOf(referenceIn(yield* objectOf(root), "Pages")), "Count")
    return { isEncrypted: false, pages: pages ?? null }
  })

  const unknown: PdfFacts = { isEncrypted: false, pages: null }
  return yield* Effect.catchIf(
    pagesOf,
    (error): error is Unknown => error instanceof Unknown,
    () => Effect.succeed(unknown)
  )
})
