import { Option, Predicate, Schema } from "effect"
import type { Grounding } from "../api/chat/Grounding.ts"

/** Most items of each kind that an answer keeps, and how long they may be, in UTF-16 units. */
export const groundingLimits = {
  sources: 64,
  supports: 500,
  /** Sources of one citation. */
  sourcesOfCitation: 16,
  searches: 50,
  urls: 32,
  address: 2_048,
  title: 300,
  domain: 255,
  query: 500,
  /** In bytes. Suggestions that are longer are left out, because a part of HTML cannot be shown. */
  suggestions: 65_536
} as const

/** A part of the answer's text, in bytes of UTF-8 as Google counts them, and the sources it relies on. */
export interface Support {
  readonly start: number
  readonly end: number
  /** The text between the two; absent when Google leaves it out. */
  readonly text: string | undefined
  /** Indices into `sources`. */
  readonly sources: ReadonlyArray<number>
}

/** What one request's answer says of its grounding: https://ai.google.dev/api/generate-content#GroundingMetadata */
export interface GroundingMetadata {
  readonly queries?: ReadonlyArray<string>
  /** By Google's indices; null for one that is no web page. */
  readonly sources?: ReadonlyArray<Grounding["sources"][number] | null>
  readonly supports?: ReadonlyArray<Support>
  readonly suggestions?: string
  readonly urls?: Grounding["urls"]
}

const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const Index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))

const Web = Schema.Struct({ uri: Schema.String, title: optional(Schema.String), domain: optional(Schema.String) })
const Chunk = Schema.Struct({ web: Web })
/** An index of zero is left out, as Protocol Buffers leave out every default. */
const Segment = Schema.Struct({ startIndex: optional(Index), endIndex: Index, text: optional(Schema.String) })
const GroundingSupport = Schema.Struct({ segment: Segment, groundingChunkIndices: Schema.Array(Index) })
const EntryPoint = Schema.Struct({ renderedContent: Schema.String })
const UrlMetadata = Schema.Struct({ retrievedUrl: Schema.String, urlRetrievalStatus: optional(Schema.String) })

const decodeChunk = Schema.decodeUnknownOption(Chunk)
const decodeSupport = Schema.decodeUnknownOption(GroundingSupport)
const decodeEntryPoint = Schema.decodeUnknownOption(EntryPoint)
const decodeUrl = Schema.decodeUnknownOption(UrlMetadata)

/** A text that Postgres can store. */
const clean = (text: string, maximum: number): string => text.slice(0, maximum).replaceAll("\u0000", "").toWellFormed()

/** An address that a client may show as a link. */
const isAddress = (text: string): boolean =>
  text.length <= groundingLimits.address &&
  /^https?:\/\/[^\s\p{Cc}<>"]+$/iu.test(text) &&
  URL.canParse(text) &&
  text.isWellFormed()

const looksLikeDomain = (text: string): boolean => /^(?:[\p{L}\p{N}-]+\.)+[\p{L}\p{N}-]{2,}$/u.test(text)

/** The domain of a page; none for an address that redirects to it. */
const domainOf = (url: string): string | undefined => {
  const { hostname } = new URL(url)
  return hostname === "vertexaisearch.cloud.google.com" ? undefined : hostname
}

const toSource = (chunk: unknown): Grounding["sources"][number] | null => {
  const web = Option.getOrUndefined(decodeChunk(chunk))?.web
  if (web === undefined || !isAddress(web.uri)) return null
  const { domain: given, title: titled, uri } = web
  // The title of a search result is usually its domain.
  const domain = given || (titled && looksLikeDomain(titled) ? titled : domainOf(uri))
  const title = clean(titled || domain || new URL(uri).hostname, groundingLimits.title)
  return { url: uri, title, domain: domain === undefined ? null : clean(domain, groundingLimits.domain) }
}

const toSupport = (support: unknown): ReadonlyArray<Support> =>
  Option.match(decodeSupport(support), {
    onNone: () => [],
    onSome: ({ groundingChunkIndices, segment: { endIndex, startIndex, text } }) => [
      { start: startIndex ?? 0, end: endIndex, text: text ?? undefined, sources: groundingChunkIndices }
    ]
  })

const statuses = new Map<string, Grounding["urls"][number]["status"]>([
  ["URL_RETRIEVAL_STATUS_SUCCESS", "success"],
  ["URL_RETRIEVAL_STATUS_PAYWALL", "paywall"],
  ["URL_RETRIEVAL_STATUS_UNSAFE", "unsafe"]
])

const toUrl = (metadata: unknown): Grounding["urls"] =>
  Option.match(decodeUrl(metadata), {
    onNone: () => [],
    onSome: ({ retrievedUrl, urlRetrievalStatus }) =>
      isAddress(retrievedUrl) ? [{ url: retrievedUrl, status: statuses.get(urlRetrievalStatus ?? "") ?? "error" }] : []
  })

const member = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)

const listOf = (value: unknown, name: string, maximum: number): ReadonlyArray<unknown> => {
  const list = member(value, name)
  return Array.isArray(list) ? list.slice(0, maximum) : []
}

/** Queries are billed, so that their count is bounded far above what is kept of them. */
const maximumQueries = 1_000

const suggestionsOf = (metadata: unknown): string | undefined => {
  const html = Option.getOrUndefined(decodeEntryPoint(member(metadata, "searchEntryPoint")))?.renderedContent
  if (html === undefined || Buffer.byteLength(html) > groundingLimits.suggestions) return undefined
  return clean(html, html.length)
}

/**
 * What a candidate says of its grounding, decoded and bounded; undefined when it says nothing. Members that cannot be
 * read are left out: they must not cost the answer.
 */
export const readGrounding = (candidate: unknown): GroundingMetadata | undefined => {
  const metadata = member(candidate, "groundingMetadata")
  const context = member(candidate, "urlContextMetadata")
  if (metadata === undefined && context === undefined) return undefined
  const queries = listOf(metadata, "webSearchQueries", maximumQueries).flatMap((query) =>
    typeof query === "string" && query.trim() !== "" ? [clean(query, groundingLimits.query)] : []
  )
  const sources = listOf(metadata, "groundingChunks", groundingLimits.sources).map(toSource)
  const supports = listOf(metadata, "groundingSupports", groundingLimits.supports).flatMap(toSupport)
  const suggestions = suggestionsOf(metadata)
  const urls = listOf(context, "urlMetadata", groundingLimits.urls).flatMap(toUrl)
  return {
    ...(queries.length > 0 ? { queries } : {}),
    ...(sources.length > 0 ? { sources } : {}),
    ...(supports.length > 0 ? { supports } : {}),
    ...(suggestions === undefined || suggestions === "" ? {} : { suggestions }),
    ...(urls.length > 0 ? { urls } : {})
  }
}

/** The grounding of one of the requests that an answer takes. */
export interface HopGrounding extends GroundingMetadata {
  /** Where the request's text begins in the answer's, in UTF-16 units. */
  readonly textStart: number
}

/** The executed queries, each of which is billed. */
export const searchesOf = (hops: ReadonlyArray<HopGrounding>): number =>
  hops.reduce((sum, { queries = [] }) => sum + queries.length, 0)
