import { createHash } from "node:crypto"
import { crc32, deflateSync } from "node:zlib"

const chunk = (name: string, body: Buffer) => {
  const typed = Buffer.concat([Buffer.from(name, "latin1"), body])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(body.length)
  sum.writeUInt32BE(crc32(typed))
  return Buffer.concat([length, typed, sum])
}

/** Bytes that differ between seeds, and that nothing compresses. */
export const noise = (length: number, seed: string): Buffer => {
  const out = Buffer.alloc(length)
  for (let at = 0, block = 0; at < length; at += 64, block++) {
    createHash("sha512").update(`${seed}/${block}`).digest().copy(out, at)
  }
  return out
}

/** A PNG of one grey pixel row, with a chunk that makes it as long as it should be. */
export const png = ({
  bytes,
  height = 3,
  seed = "",
  width = 2
}: { bytes?: number; height?: number; seed?: string; width?: number } = {}) => {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width)
  head.writeUInt32BE(height, 4)
  head.set([8, 0, 0, 0, 0], 8)
  const parts = [
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Buffer.alloc(height * (width + 1)))),
    chunk("IEND", Buffer.alloc(0))
  ]
  const least = Buffer.concat([...parts, chunk("prVt", Buffer.from(seed))]).length
  const own = bytes === undefined ? Buffer.from(seed) : noise(bytes - least + Buffer.byteLength(seed), seed)
  return Buffer.concat([...parts.slice(0, 2), chunk("prVt", own), ...parts.slice(2)])
}

interface PdfOptions {
  readonly pages?: number
  readonly encrypted?: boolean
  /** The cross-reference as a stream, with the page tree in an object stream. */
  readonly compressed?: boolean
  readonly bytes?: number
  readonly seed?: string
}

const withObjects = (start: number, bodies: ReadonlyArray<readonly [number, Buffer]>) => {
  const offsets = new Map<number, number>()
  const parts: Array<Buffer> = []
  let at = start
  for (const [id, body] of bodies) {
    const object = Buffer.concat([Buffer.from(`${id} 0 obj\n`), body, Buffer.from("\nendobj\n")])
    offsets.set(id, at)
    parts.push(object)
    at += object.length
  }
  return { offsets, at, text: Buffer.concat(parts) }
}

const stream = (dictionary: string, body: Buffer) =>
  Buffer.concat([
    Buffer.from(`<< ${dictionary} /Filter /FlateDecode /Length ${body.length} >>\nstream\n`),
    body,
    Buffer.from("\nendstream")
  ])

/** A PDF of empty pages that share a page object. */
export const pdf = ({ bytes = 0, compressed = false, encrypted = false, pages = 1, seed = "" }: PdfOptions = {}) => {
  const header = Buffer.concat([Buffer.from(`%PDF-1.7\n%${seed}`), noise(bytes, seed), Buffer.from("\n")])
  const catalogue = "<< /Type /Catalog /Pages 2 0 R >>"
  const tree = `<< /Type /Pages /Kids [${"3 0 R ".repeat(pages)}] /Count ${pages} >>`
  const page = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 10 10] >>"
  const secret = encrypted ? " /Encrypt << /Filter /Standard /V 1 /R 2 >>" : ""
  if (!compressed) {
    const { at, offsets, text } = withObjects(header.length, [
      [1, Buffer.from(catalogue)],
      [2, Buffer.from(tree)],
      [3, Buffer.from(page)]
    ])
    const rows = [1, 2, 3].map((id) => `${String(offsets.get(id)).padStart(10, "0")} 00000 n \n`).join("")
    const trailer = `xref\n0 4\n0000000000 65535 f \n${rows}trailer\n<< /Size 4 /Root 1 0 R${secret} >>\nstartxref\n${at}\n%%EOF\n`
    return Buffer.concat([header, text, Buffer.from(trailer)])
  }
  const index = `1 0 2 ${catalogue.length + 1} `
  const packed = stream(`/Type /ObjStm /N 2 /First ${index.length}`, deflateSync(Buffer.from(`${index}${catalogue} ${tree}`)))
  const { at, offsets, text } = withObjects(header.length, [
    [3, Buffer.from(page)],
    [4, packed]
  ])
  const row = (type: number, second: number, third: number) => {
    const bytes = Buffer.alloc(6)
    bytes.writeUInt8(type)
    bytes.writeUInt32BE(second, 1)
    bytes.writeUInt8(third, 5)
    return bytes
  }
  const rows = [
    row(0, 0, 0),
    row(2, 4, 0),
    row(2, 4, 1),
    row(1, offsets.get(3) ?? 0, 0),
    row(1, offsets.get(4) ?? 0, 0),
    row(1, at, 0)
  ]
  // The predictor of every row is Up.
  const predicted = rows.map((each, n) =>
    Buffer.concat([Buffer.from([2]), each.map((byte, column) => (byte - (rows[n - 1]?.[column] ?? 0)) & 0xff)])
  )
  const parameters = "/W [1 4 1] /Size 6 /DecodeParms << /Predictor 12 /Columns 6 >>"
  const table = stream(`/Type /XRef ${parameters} /Root 1 0 R${secret}`, deflateSync(Buffer.concat(predicted)))
  return Buffer.concat([header, text, Buffer.from("5 0 obj\n"), table, Buffer.from(`\nendobj\nstartxref\n${at}\n%%EOF\n`)])
}

/** A second of silence. */
export const wav = (seed = 0) => {
  const body = Buffer.alloc(8_000, seed)
  const head = Buffer.alloc(44)
  head.write("RIFF", 0)
  head.writeUInt32LE(36 + body.length, 4)
  head.write("WAVEfmt ", 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(8_000, 24)
  head.writeUInt32LE(8_000, 28)
  head.writeUInt16LE(1, 32)
  head.writeUInt16LE(8, 34)
  head.write("data", 36)
  head.writeUInt32LE(body.length, 40)
  return Buffer.concat([head, body])
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
