import type { Person, Reply } from "./Client.ts"

interface UploadOptions {
  readonly name?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent in chunks, without a length. */
  readonly chunked?: boolean
}

const inChunks = (bytes: Uint8Array) =>
  new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (let at = 0; at < bytes.length; at += 100_000) controller.enqueue(bytes.subarray(at, at + 100_000))
      controller.close()
    }
  })

const replyOf = async (response: Response): Promise<Reply> => {
  const text = await response.text()
  const isJson = response.headers.get("content-type")?.includes("json") === true
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined }
}

/** Uploads a file as a client does. */
export const upload = async (
  base: string,
  { token }: Pick<Person, "token">,
  type: string,
  bytes: Uint8Array,
  { chunked = false, headers = {}, name }: UploadOptions = {}
): Promise<Reply> => {
  const query = name === undefined ? "" : `?name=${encodeURIComponent(name)}`
  const response = await fetch(`${base}/files${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": type, ...headers },
    ...(chunked ? { body: inChunks(bytes), duplex: "half" } : { body: Buffer.from(bytes) }),
    signal: AbortSignal.timeout(60_000)
  })
  return replyOf(response)
}

/** The bytes of a file. */
export const download = async (
  base: string,
  { token }: Pick<Person, "token">,
  id: string,
  headers: Record<string, string> = {}
) => {
  const response = await fetch(`${base}/files/${id}/content`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    redirect: "manual",
    signal: AbortSignal.timeout(60_000)
  })
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}
