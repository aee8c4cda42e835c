import type { Grounding } from "../api/chat/Grounding.ts"
import { groundingLimits, type HopGrounding, type Support } from "./Grounding.ts"

/** The UTF-16 offsets of these byte offsets of UTF-8; none for an offset within a character or behind the text. */
const unitsAtBytes = (text: string, offsets: ReadonlySet<number>): ReadonlyMap<number, number> => {
  const units = new Map<number, number>()
  let bytes = 0
  let unit = 0
  for (const character of text) {
    if (offsets.has(bytes)) units.set(bytes, unit)
    const code = character.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4
    unit += character.length
  }
  if (offsets.has(bytes)) units.set(bytes, unit)
  return units
}

interface Place {
  readonly start: number
  readonly end: number
}

/** Where each support's text is, in UTF-16 units; undefined where the text is not what Google says it is. */
const placesOf = (text: string, supports: ReadonlyArray<Support>): ReadonlyArray<Place | undefined> => {
  const units = unitsAtBytes(text, new Set(supports.flatMap(({ end, start }) => [start, end])))
  return supports.map((support) => {
    const start = units.get(support.start)
    const end = units.get(support.end)
    if (start === undefined || end === undefined || start >= end) return undefined
    return text.slice(start, end) === support.text ? { start, end } : undefined
  })
}

export interface Cited {
  /** Undefined when the answer relies on nothing. */
  readonly grounding: Grounding | undefined
  /** Citations that were left out, because their text is not where Google says it is. */
  readonly dropped: number
}

const isSameSource = (one: Grounding["sources"][number], other: Grounding["sources"][number]) =>
  one.url === other.url && one.title === other.title

/**
 * The grounding of an answer with this text, the visible text of all its requests. Google counts the bytes of a support in
 * the text of its own request; one that does not fit there is looked for in the whole text.
 */
export const citedIn = (content: string, hops: ReadonlyArray<HopGrounding>): Cited => {
  const sources: Array<Grounding["sources"][number]> = []
  const citations: Array<Grounding["citations"][number]> = []
  let dropped = 0

  /** The index of a source in the answer's list; undefined when the list is full. */
  const indexOf = (source: Grounding["sources"][number]): number | undefined => {
    const known = sources.findIndex((other) => isSameSource(source, other))
    if (known !== -1) return known
    return sources.length < groundingLimits.sources ? sources.push(source) - 1 : undefined
  }

  for (const { sources: given = [], supports = [], textStart } of hops) {
    const indices = given.map((source) => (source === null ? undefined : indexOf(source)))
    const inHop = placesOf(content.slice(textStart), supports)
    const inAnswer = textStart === 0 ? [] : placesOf(content, supports)
    for (const [number, support] of supports.entries()) {
      const own = inHop[number]
      const place = own === undefined ? inAnswer[number] : { start: own.start + textStart, end: own.end + textStart }
      if (place === undefined) {
        dropped++
        continue
      }
      const cited = support.sources.flatMap((index) => indices[index] ?? [])
      if (cited.length === 0 || citations.length >= groundingLimits.supports) continue
      citations.push({ ...place, sources: [...new Set(cited)].slice(0, groundingLimits.sourcesOfCitation) })
    }
  }
  const searches = [...new Set(hops.flatMap(({ queries = [] }) => queries))].slice(0, groundingLimits.searches)
  const searchSuggestions = hops.findLast(({ suggestions }) => suggestions !== undefined)?.suggestions ?? null
  const urls = hops.flatMap(({ urls: read = [] }) => read).slice(0, groundingLimits.urls)
  const isEmpty = sources.length + searches.length + urls.length === 0 && searchSuggestions === null
  return {
    grounding: isEmpty
      ? undefined
      : {
          sources,
          citations: citations.toSorted((one, other) => one.start - other.start || one.end - other.end),
          searches,
          searchSuggestions,
          urls
        },
    dropped
  }
}
