import type { GenerateRequest } from "./GenerateRequest.ts"
import type { Script } from "./Script.ts"

/** Tokens of what one query, and one address, adds to the prompt. */
const TOKENS_OF_QUERY = 100
const TOKENS_OF_PAGE = 200

const queriesOf = (request: GenerateRequest, script: Script): ReadonlyArray<string> =>
  request.tools.has("googleSearch") ? (script.searches ?? []) : []

const urlsOf = (request: GenerateRequest, script: Script): Script["urls"] => (request.tools.has("urlContext") ? script.urls : [])

export const toolTokens = (request: GenerateRequest, script: Script): number =>
  queriesOf(request, script).length * TOKENS_OF_QUERY + urlsOf(request, script).length * TOKENS_OF_PAGE

/**
 * The grounding of a text in what its tools have found, as a candidate has it; undefined without any. Every other
 * sentence is supported. The chunk of the last source has no title, and one support has no segment.
 * https://ai.google.dev/api/generate-content#GroundingMetadata
 */
export const ground = (text: string, request: GenerateRequest, script: Script): object | undefined => {
  const queries = queriesOf(request, script)
  const urls = urlsOf(request, script)
  if (queries.length === 0 && urls.length === 0) return undefined
  return {
    ...(queries.length === 0 ? {} : { groundingMetadata: groundingMetadata(text, queries, script.isMisplaced === true) }),
    ...(urls.length === 0 ? {} : { urlContextMetadata: { urlMetadata: urls.map(toUrlMetadata) } })
  }
}

const groundingMetadata = (text: string, queries: ReadonlyArray<string>, isMisplaced: boolean) => {
  const chunks = [...queries.keys(), queries.length].map((index) => ({
    web: {
      uri: `https://vertexaisearch.cloud.google.com/grounding-api-redirect/simulated-${index}`,
      ...(index === queries.length ? {} : { title: `site${index}.example` })
    }
  }))
  const supports = segmentsOf(text).map(({ end, start, text: cited }, index) => ({
    segment: segment(start + (isMisplaced ? 1 : 0), end + (isMisplaced ? 1 : 0), cited),
    groundingChunkIndices: [...new Set([index % chunks.length, chunks.length - 1])],
    confidenceScores: [0.99]
  }))
  return {
    webSearchQueries: queries,
    searchEntryPoint: { renderedContent: `<style>.chip{}</style><div class="chip">${queries.join(" ")}</div>` },
    groundingChunks: chunks,
    groundingSupports: [...supports, { groundingChunkIndices: [0], confidenceScores: [0.5] }]
  }
}

/** An index of zero is left out. */
const segment = (startIndex: number, endIndex: number, text: string) => ({
  ...(startIndex === 0 ? {} : { startIndex }),
  endIndex,
  text
})

/** Every other sentence of a text, from the first on, at most twenty, with its place in bytes of UTF-8. */
const segmentsOf = (text: string) => {
  const sentences = [...text.matchAll(/[^\s.。!?][^.。!?]*[.。!?]?/gu)].filter((_, index) => index % 2 === 0).slice(0, 20)
  return sentences.map(({ 0: sentence, index }) => {
    const start = Buffer.byteLength(text.slice(0, index))
    return { start, end: start + Buffer.byteLength(sentence), text: sentence }
  })
}

const toUrlMetadata = ({ status, url }: Script["urls"][number]) => ({
  retrievedUrl: url,
  urlRetrievalStatus: `URL_RETRIEVAL_STATUS_${status.toUpperCase()}`
})
