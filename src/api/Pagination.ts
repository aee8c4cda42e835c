import { Schema } from "effect"
import { integerFromText, text } from "./Schemas.ts"

/** Items on a page when none is asked for. */
export const defaultLimit = 20
export const Limit = integerFromText(1, 100).annotate({ description: "Items on a page.", default: defaultLimit })
export const Cursor = text(1, 500).annotate({ description: "The `nextCursor` of the page before." })

/** A page of a list, shown with this one item on it; `nextCursor` is null on the last one. */
export const page = <S extends Schema.Top>(item: S, identifier: string, example: S["Type"]) =>
  Schema.Struct({
    data: Schema.Array(item),
    hasMore: Schema.Boolean,
    nextCursor: Schema.NullOr(Schema.String).annotate({ description: "Null on the last page." })
  }).annotate({ identifier, description: "A page of a list.", examples: [{ data: [example], hasMore: false, nextCursor: null }] })

export const linkHeader = { link: Schema.optionalKey(Schema.String) }

/**
 * RFC 8288: where the next page is, with the request's other parameters kept. Path and query only: the origin
 * that the platform puts before them is the client's `Host`.
 */
export const nextLink = (url: string, cursor: string | null): Record<string, string> => {
  if (cursor === null) return {}
  const [path = "", query = ""] = url.replace(/^https?:\/\/[^/]*/, "").split("?")
  const params = new URLSearchParams(query)
  params.set("cursor", cursor)
  return { link: `<${path}?${params}>; rel="next"` }
}
