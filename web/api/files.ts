import { idempotencyKey, withSession } from "./client.ts"
import type { ResponseOf } from "./contract.ts"
import { addAnswer } from "./exchanges.ts"
import { exchange, readAnswer } from "./transport.ts"

type Uploaded = ResponseOf<"POST /files">

/** Endings of text that browsers have no type for, or the wrong one. */
const textEndings = /\.(?:c|cpp|cs|go|h|java|kt|log|lua|md|php|pl|py|rb|rs|sh|sql|swift|toml|ts|tsx|yaml|yml)$/i
const pictureEndings = /\.(heic|heif)$/i

/** The media type of a file as the server knows it. It proves the type by the bytes. */
const typeOf = ({ name, type }: File): string => {
  if (textEndings.test(name)) return "text/plain"
  const [, picture] = pictureEndings.exec(name) ?? []
  return picture === undefined ? type || "application/octet-stream" : `image/${picture.toLowerCase()}`
}

/** Sends a file as it is. */
export const uploadFile = (file: File, signal: AbortSignal): Promise<Uploaded> => {
  const headers = { ...idempotencyKey(), "content-type": typeOf(file) }
  return withSession(async () => {
    const { number, response } = await exchange("POST /files", { query: { name: file.name }, headers, file, signal })
    return (await readAnswer(number, response)) as Uploaded
  })
}

/** The bytes of a file, for elements that cannot send a token themselves. */
export const loadContent = (id: string, signal?: AbortSignal): Promise<Blob> =>
  withSession(async () => {
    const request = { params: { id }, ...(signal === undefined ? {} : { signal }) }
    const { number, response } = await exchange("GET /files/:id/content", request)
    if (!response.ok) await readAnswer(number, response)
    const bytes = await response.blob()
    addAnswer(number, `(${bytes.size} bytes)`)
    return bytes
  })
