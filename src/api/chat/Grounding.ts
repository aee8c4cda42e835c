import { Schema } from "effect"
import { Count } from "../Schemas.ts"

const Source = Schema.Struct({
  url: Schema.String.annotate({
    description:
      "As Google sent it: often an address of Google that redirects to the page and expires after some days. The server does not resolve it."
  }),
  title: Schema.String.annotate({ description: "The page's title, or its domain." }),
  domain: Schema.NullOr(Schema.String)
}).annotate({ identifier: "Source", description: "A web page that the reply relies on." })

const Citation = Schema.Struct({
  start: Count.annotate({ description: "Where the cited text begins in `content`, in UTF-16 units." }),
  end: Count.annotate({ description: "Where it ends: `content.slice(start, end)` is the cited text." }),
  sources: Schema.Array(Count).annotate({ description: "Indices into `sources`." })
}).annotate({ identifier: "Citation", description: "A part of the text, and the sources that support it." })

const ReadUrl = Schema.Struct({
  url: Schema.String,
  status: Schema.Literals(["success", "error", "paywall", "unsafe"])
}).annotate({ identifier: "ReadUrl", description: "An address that Google read, or tried to read, for the reply." })

/** What a reply that was made with tools relies on. */
export const groundingFields = {
  sources: Schema.Array(Source).annotate({ description: "The web pages that the reply relies on." }),
  citations: Schema.Array(Citation).annotate({ description: "Which parts of the text rely on which sources, in their order." }),
  searches: Schema.Array(Schema.String).annotate({ description: "What was searched for with Google." }),
  searchSuggestions: Schema.NullOr(Schema.String).annotate({
    description:
      "Google's search suggestions, as HTML with its own style. Google's terms require that a client which shows the reply shows them with it, unchanged."
  }),
  urls: Schema.Array(ReadUrl).annotate({ description: "The addresses that were read." })
}
export const Grounding = Schema.Struct(groundingFields)
export type Grounding = typeof Grounding.Type

export const noGrounding: Grounding = { sources: [], citations: [], searches: [], searchSuggestions: null, urls: [] }
