import { readdirSync, readFileSync } from "node:fs"
import { extname, join } from "node:path"
import { entityTag } from "../http/EntityTags.ts"
import { accepts } from "./Compression.ts"

const types: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8"
}

/** What the build compresses ahead, best first. */
const codings = [
  { coding: "br", ending: ".br" },
  { coding: "gzip", ending: ".gz" }
]

export interface PageFile {
  readonly bytes: Uint8Array
  readonly coding: string | undefined
  readonly contentType: string
  readonly etag: string
}

/**
 * The files of a folder, each in the best encoding that a client accepts. They are read when they are first asked for, and
 * kept: their number is fixed by the build.
 */
export const makePageFiles = (folder: string) => {
  const names = new Set(readdirSync(folder))
  const read = new Map<string, PageFile>()

  return (name: string, acceptEncoding: string | undefined): PageFile | undefined => {
    const contentType = types[extname(name)]
    if (!names.has(name) || contentType === undefined) return undefined
    const best = codings.find(({ coding, ending }) => names.has(`${name}${ending}`) && accepts(coding, acceptEncoding))
    const path = `${name}${best?.ending ?? ""}`
    const known = read.get(path)
    if (known !== undefined) return known
    const bytes = readFileSync(join(folder, path))
    const file = { bytes, coding: best?.coding, contentType, etag: entityTag(bytes) }
    read.set(path, file)
    return file
  }
}
