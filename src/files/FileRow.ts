import { File } from "../api/files/File.ts"
import { iso, isoOrNull } from "../api/Schemas.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"

export const fileColumns = columnsOf(Object.keys(File.fields))
export type FileRow = RowOf<File>

export const toFile = (row: FileRow): File => ({
  id: row.id,
  name: row.name,
  type: row.type,
  bytes: row.bytes,
  sha256: row.sha256,
  tokens: row.tokens,
  width: row.width,
  height: row.height,
  pages: row.pages,
  createdAt: iso(row.createdAt),
  expiresAt: isoOrNull(row.expiresAt)
})
