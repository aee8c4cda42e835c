import { Schema } from "effect"
import { integerFromText, text } from "./Schemas.ts"

/** Items per page by default. */
export const defaultLimit = 20
export const Limit = integerFromText(1, 100).annotate({ description: "Items per page.", default: defaultLimit })
export const Cursor = text(1, 500).annotate({
  description: "The `nextCursor` of the previous page.",
  examples: ["eyJiZWZvcmUiOiIwMWEx"]
})

/** A page of a list; `example` is the item of its example page. */
export const page = <S extends Schema.Top>(item: S, identifier: string, example: S["Type"]) =>
  Schema.Struct({
    data: Schema.Array(item),
    hasMore: Schema.Boolean,
    nextCursor: Schema.NullOr(Schema.String).annotate({ description: "Null on the last page." })
  }).annotate({ identifier, description: "A page of a list.", examples: [{ data: [example], hasMore: false, nextCursor: null }] })

export const linkHeader = { link: Schema.optionalKey(Schema.String) }

/**
 * RFC 8288: the link to the next page, with the request's other parameters. Path and query only, because the
 * platform builds the origin from the client's `Host`.
 */
export const nextLink = (url: string, cursor: string | null, parameter = "cursor"): Record<string, string> => {
  if (cursor === null) return {}
  const [path = "", query = ""] = url.replace(/^https?:\/\/[^/]*/, "").split("?")
  const params = new URLSearchParams(query)
  params.set(parameter, cursor)
  return { link: `<${path}?${params}>; rel="next"` }
}
