import OpenAI from "openai"
import type { ChatCompletionChunk } from "openai/resources/chat/completions"
import type { Person } from "../support/Client.ts"

export const model = "gemini-3.8-flash"

/** OpenAI's client with an access token or an API key, and its own retries. */
export const clientAt = (base: string, apiKey: string, options: { readonly maxRetries?: number } = {}): OpenAI =>
  new OpenAI({ baseURL: `${base}/v1`, apiKey, ...options })

export const newKey = async (person: Person): Promise<{ readonly id: string; readonly key: string }> =>
  (await person.call("POST", "/user/keys", { name: "Tests" })).body

export const user = (content: string) => [{ role: "user" as const, content }]

/** A streamed answer as a client reads it. */
export interface Streamed {
  readonly chunks: ReadonlyArray<ChatCompletionChunk>
  readonly text: string
  readonly finishes: ReadonlyArray<string>
  /** What ended the stream instead of `[DONE]`. */
  readonly error: unknown
}

/** Reads a stream to its end, calling `onText` after every piece. */
export const readStream = async (
  stream: AsyncIterable<ChatCompletionChunk>,
  onText: (text: string) => unknown = () => {}
): Promise<Streamed> => {
  const chunks: Array<ChatCompletionChunk> = []
  let text = ""
  let error: unknown
  try {
    for await (const chunk of stream) {
      chunks.push(chunk)
      const added = chunk.choices[0]?.delta.content ?? ""
      text += added
      if (added !== "") await onText(text)
    }
  } catch (thrown) {
    error = thrown
  }
  const finishes = chunks.flatMap(({ choices }) => choices.flatMap(({ finish_reason: finish }) => finish ?? []))
  return { chunks, text, finishes, error }
}

/** What a promise is rejected with, as OpenAI's client makes it of a refusal. */
export const refusalOf = async (promise: PromiseLike<unknown>) => {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error
    const { code, headers, message, param, status, type } = error
    return { status, code, type, param, message, headers }
  }
  throw new Error("the request was not refused")
}
