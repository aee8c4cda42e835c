import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
import { TooManyRequests } from "../Problems.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import { text } from "../Schemas.ts"
import { exampleReply, FoundMessage } from "./Message.ts"

const exampleFound = { ...exampleReply, snippet: exampleReply.content }

export class SearchApi extends HttpApiGroup.make("search")
  .add(
    HttpApiEndpoint.get("search", "/search", {
      query: {
        q: text(1, 200).annotate({ description: "Text to find.", examples: ["loom"] }),
        limit: Schema.optionalKey(Limit),
        cursor: Schema.optionalKey(Cursor)
      },
      success: HttpApiSchema.WithHeaders(page(FoundMessage, "FoundMessagePage", exampleFound), linkHeader),
      error: TooManyRequests
    }).annotateMerge(
      describe(
        "search",
        "Search the user's messages",
        "Newest first. One search reads the newest 8 MiB of text, or 10,000 messages: a page can have fewer messages than `limit`, or none, and `nextCursor` continues. A user may run two searches at a time; further ones wait up to three seconds, then get 429."
      )
    )
  )
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Search", description: "Search in the user's messages." })) {}
