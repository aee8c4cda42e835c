import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../auth/AuthApi.ts"
import { describe } from "../Describe.ts"
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
      success: HttpApiSchema.WithHeaders(page(FoundMessage, "FoundMessagePage", exampleFound), linkHeader)
    }).annotateMerge(describe("search", "Search the user's messages", "Newest first."))
  )
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Search", description: "Search in the user's messages." })) {}
