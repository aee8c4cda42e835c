import { Schema } from "effect"
import { integerFromText, text } from "../Text.ts"

export const Limit = integerFromText(1, 100)
export const Cursor = text(1, 500)

/** A page of a list; `nextCursor` is null on the last one. */
export const page = <S extends Schema.Top>(item: S, identifier: string) =>
  Schema.Struct({
    data: Schema.Array(item),
    hasMore: Schema.Boolean,
    nextCursor: Schema.NullOr(Schema.String)
  }).annotate({ identifier })

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
