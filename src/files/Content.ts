import type { File } from "../api/files/File.ts"
import type { ByteRange } from "./Files.ts"

/** Where the API has the files. */
export const filesPath = "/files"

/** The path of a file's bytes, where `files` is the path of all files: `filesPath`, or as a client reaches it (`pathFor`). */
export const contentPath = (id: string, files = filesPath): string => `${files}/${id}/content`

/** A strong validator: the hash of the bytes. */
export const tagOf = ({ sha256 }: Pick<File, "sha256">): string => `"${sha256}"`

/**
 * The range that a request asks for (RFC 9110, 14.2): undefined for all of the file, because it names no range, or one that
 * is not understood, or several. Null when the file has no such bytes.
 */
export const rangeOf = (header: string | undefined, size: number): ByteRange | null | undefined => {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header?.replaceAll(" ", "") ?? "") ?? []
  if (first === "" && last === "") return undefined
  if (first === "") {
    const length = Math.min(Number(last), size)
    return length === 0 ? null : { from: size - length, length }
  }
  const from = Number(first)
  const end = last === "" ? size : Math.min(Number(last) + 1, size)
  if (last !== "" && Number(last) < from) return undefined
  return from >= size ? null : { from, length: end - from }
}

/** What a browser is told that the bytes are: text is plain text, whatever it says of itself. */
export const shownType = (type: string, isText: boolean): string => (isText ? "text/plain; charset=utf-8" : type)

/** RFC 6266 and 8187: a name of any characters, and one of ASCII for clients that know no other. */
export const contentDisposition = (name: string): string => {
  const ascii = name.replaceAll(/[^\x20-\x7e]|["\\%]/g, "_")
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`
}

/** The name in a request's `Content-Disposition`; undefined when it has none that can be read. */
export const nameIn = (header: string | undefined): string | undefined => {
  const extended = /;\s*filename\*\s*=\s*UTF-8'[^']*'([^;\s]+)/i.exec(`;${header ?? ""}`)?.[1]
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended)
    } catch {
      return undefined
    }
  }
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(`;${header ?? ""}`)?.[1]?.replaceAll(/\\(.)/g, "$1")
  return quoted ?? /;\s*filename\s*=\s*([^\s";]+)/i.exec(`;${header ?? ""}`)?.[1]
}

/** Characters that break a line or turn the direction of writing, which would make a name look like another one. */
const deceptive = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** The name as it is stored: the last part of a path, without control and direction characters. */
export const storedName = (name: string): string => {
  const last = name.split(/[/\\]/).at(-1) ?? ""
  return [...last.replaceAll(deceptive, "").trim()].slice(0, 255).join("") || "file"
}

/** A name in a line for the model: it ends neither the line nor the bracket. */
export const shownName = (name: string): string => name.replaceAll(/[\]\r\n]/g, " ")
