import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { Tier } from "../auth/User.ts"
import { describe } from "../Describe.ts"
import { Count } from "../Schemas.ts"

export const ThinkingLevel = Schema.Literals(["minimal", "low", "medium", "high"])
export const Tool = Schema.Literals(["search", "url"])
export type Tool = typeof Tool.Type
export const Input = Schema.Literals(["text", "image", "pdf", "audio"])
const Day = Schema.String.annotate({ format: "date" })

const exampleModel = {
  id: "gemini-3.8-flash",
  name: "Gemini 3.8 Flash",
  default: true,
  available: true,
  requiredTier: "basic" as const,
  thinking: { levels: ["low" as const, "medium" as const, "high" as const], default: "medium" as const },
  tools: ["search" as const, "url" as const],
  input: ["text" as const],
  json: true,
  maxOutputTokens: 2_048,
  contextTokens: 32_000,
  price: { input: 0.75, output: 3.75, currency: "USD" as const, perTokens: 1_000_000 as const },
  retiresAt: null,
  replacement: null
}

export const ModelInfo = Schema.Struct({
  id: Schema.String.annotate({ description: "The value of `model` of a chatroom." }),
  name: Schema.String,
  default: Schema.Boolean.annotate({ description: "Whether it answers in rooms that choose no model." }),
  available: Schema.Boolean.annotate({ description: "Whether the user may choose it now." }),
  requiredTier: Tier.annotate({ description: "The lowest tier that has it." }),
  thinking: Schema.NullOr(Schema.Struct({ levels: Schema.Array(ThinkingLevel), default: Schema.NullOr(ThinkingLevel) })).annotate(
    {
      description: "The levels of thinking that the user's tier may choose, and the default; null when thinking cannot be set."
    }
  ),
  tools: Schema.Array(Tool).annotate({ description: "The tools that it has for the user's tier." }),
  input: Schema.Array(Input),
  json: Schema.Boolean.annotate({ description: "Whether it can answer in JSON (`responseFormat`)." }),
  maxOutputTokens: Count.annotate({
    description: "Tokens of an answer for the user's tier, thoughts included; more at a level of thinking above the default."
  }),
  contextTokens: Count.annotate({ description: "Tokens of a prompt for the user's tier." }),
  price: Schema.NullOr(
    Schema.Struct({
      input: Schema.Finite,
      output: Schema.Finite,
      currency: Schema.Literal("USD"),
      perTokens: Schema.Literal(1_000_000)
    })
  ).annotate({ description: "Today's price; null when it is not known." }),
  retiresAt: Schema.NullOr(Day).annotate({ description: "The UTC day from which its replacement answers." }),
  replacement: Schema.NullOr(Schema.String).annotate({ description: "The model that answers from then on." })
}).annotate({ identifier: "Model", description: "A model that answers questions.", examples: [exampleModel] })
export type ModelInfo = typeof ModelInfo.Type

const cacheHeaders = { etag: Schema.String, "cache-control": Schema.Literal("private, max-age=300") }

export class ModelsApi extends HttpApiGroup.make("models")
  .add(
    HttpApiEndpoint.get("list", "/models", {
      headers: {
        "if-none-match": Schema.optionalKey(
          Schema.String.annotate({ description: "The `ETag` of the list that the client has.", examples: ['"aB3"'] })
        )
      },
      success: [
        HttpApiSchema.WithHeaders(
          Schema.Struct({ data: Schema.Array(ModelInfo) }).annotate({
            identifier: "ModelList",
            description: "The server's models.",
            examples: [{ data: [exampleModel] }]
          }),
          cacheHeaders
        ),
        HttpApiSchema.WithHeaders(
          HttpApiSchema.Empty(304).annotate({ description: "The client's list is up to date." }),
          cacheHeaders
        )
      ]
    }).annotateMerge(
      describe("listModels", "List the models", "Every model that a chatroom may choose, with its limits for the user's tier.")
    )
  )
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(OpenApi.annotations({ title: "Models", description: "The models that answer questions." })) {}
