import { Schema } from "effect"
import { ids } from "../Examples.ts"
import { Count, text } from "../Schemas.ts"

/** Bytes that a request may have. */
export const maximumRequestBytes = 1_048_576

const Text = text(0, maximumRequestBytes)

const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Text })
const ImagePart = Schema.Struct({
  type: Schema.Literal("image_url"),
  image_url: Schema.Struct({
    url: Schema.String.annotate({ description: "A `data:` URI. The server fetches no other addresses." }),
    detail: optional(Schema.String)
  })
})
const AudioPart = Schema.Struct({
  type: Schema.Literal("input_audio"),
  input_audio: Schema.Struct({
    data: Schema.String.annotate({ description: "In base64." }),
    format: Schema.Literals(["wav", "mp3"])
  })
})
const FilePart = Schema.Struct({
  type: Schema.Literal("file"),
  file: Schema.Struct({
    file_data: optional(Schema.String.annotate({ description: "A `data:` URI." })),
    file_id: optional(Schema.String.annotate({ description: "The id of a file uploaded with `POST /files`." })),
    filename: optional(text(1, 255))
  })
})
const RefusalPart = Schema.Struct({ type: Schema.Literal("refusal"), refusal: Text })

const SystemMessage = Schema.Struct({
  role: Schema.Literals(["system", "developer"]),
  content: Schema.Union([Text, Schema.Array(TextPart)]),
  name: optional(Schema.String)
})

const UserMessage = Schema.Struct({
  role: Schema.Literal("user"),
  content: Schema.Union([Text, Schema.Array(Schema.Union([TextPart, ImagePart, AudioPart, FilePart]))]),
  name: optional(Schema.String)
})

const AssistantMessage = Schema.Struct({
  role: Schema.Literal("assistant"),
  content: optional(Schema.Union([Text, Schema.Array(Schema.Union([TextPart, RefusalPart]))])),
  name: optional(Schema.String),
  refusal: optional(Text),
  tool_calls: Schema.optionalKey(Schema.Unknown.annotate({ description: "Not supported." })),
  function_call: Schema.optionalKey(Schema.Unknown.annotate({ description: "Not supported." })),
  audio: Schema.optionalKey(Schema.Unknown.annotate({ description: "Not supported." }))
})

const CompletionMessage = Schema.Union([SystemMessage, UserMessage, AssistantMessage])
export type CompletionMessage = typeof CompletionMessage.Type
export type UserPart = Exclude<(typeof UserMessage.Type)["content"], string>[number]

const Format = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text") }),
  Schema.Struct({ type: Schema.Literal("json_object") }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    json_schema: Schema.Struct({
      name: Schema.String,
      description: optional(Schema.String),
      schema: optional(Schema.Record(Schema.String, Schema.Unknown)),
      strict: optional(Schema.Boolean)
    })
  })
])

const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))
const Stop = text(1, 1_000)

const known = Schema.Struct({
  model: text(1, 200).annotate({ description: "The id of a model of `GET /v1/models`." }),
  messages: Schema.Array(CompletionMessage).check(Schema.isMinLength(1)).annotate({
    description:
      "System and developer messages come first. Consecutive messages of one role are joined with a blank line. After the system messages, the first and the last message are the user's."
  }),
  temperature: optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 }))),
  top_p: optional(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
  max_completion_tokens: optional(
    Tokens.annotate({ description: "Tokens of the answer, reasoning included; at most those of the model for the user's tier." })
  ),
  max_tokens: optional(Tokens.annotate({ description: "The older name of `max_completion_tokens`." })),
  stop: optional(Schema.Union([Stop, Schema.Array(Stop).check(Schema.isMaxLength(4))])),
  reasoning_effort: optional(
    Schema.Literals(["none", "minimal", "low", "medium", "high", "xhigh"]).annotate({
      description: "One of the model's levels of thinking; `none` is its lowest."
    })
  ),
  response_format: optional(Format),
  stream: optional(Schema.Boolean),
  stream_options: optional(
    Schema.Struct({ include_usage: optional(Schema.Boolean), include_obfuscation: optional(Schema.Boolean) })
  ),
  user: optional(Schema.String.annotate({ description: "Ignored." })),
  metadata: optional(Schema.Record(Schema.String, Schema.Unknown).annotate({ description: "Ignored." }))
})

/** A request as it decodes. Members that it does not name are kept, so that they can be refused by their names. */
export const CreateCompletion = Schema.StructWithRest(known, [Schema.Record(Schema.String, Schema.Unknown)]).annotate({
  identifier: "CreateChatCompletion",
  examples: [{ model: "gemini-3.8-flash", messages: [{ role: "user", content: "What does an analytical engine weave?" }] }]
})
export type CreateCompletion = typeof CreateCompletion.Type
export const knownParameters: ReadonlySet<string> = new Set(Object.keys(known.fields))

export const CompletionUsage = Schema.Struct({
  prompt_tokens: Count,
  completion_tokens: Count.annotate({ description: "Reasoning included." }),
  total_tokens: Count,
  prompt_tokens_details: Schema.Struct({ cached_tokens: Count }),
  completion_tokens_details: Schema.Struct({ reasoning_tokens: Count })
}).annotate({ identifier: "CompletionUsage", description: "Tokens as counted by the model." })
export type CompletionUsage = typeof CompletionUsage.Type

const FinishReason = Schema.Literals(["stop", "length", "content_filter"])
export type FinishReason = typeof FinishReason.Type

const exampleId = `chatcmpl-${ids.reply}`
const exampleUsage: CompletionUsage = {
  prompt_tokens: 12,
  completion_tokens: 31,
  total_tokens: 43,
  prompt_tokens_details: { cached_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0 }
}
const created = 1_795_305_600

export const ChatCompletion = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("chat.completion"),
  created: Count.annotate({ description: "Seconds since 1970." }),
  model: Schema.String,
  choices: Schema.Array(
    Schema.Struct({
      index: Schema.Literal(0),
      message: Schema.Struct({ role: Schema.Literal("assistant"), content: Schema.String, refusal: Schema.Null }),
      logprobs: Schema.Null,
      finish_reason: FinishReason
    })
  ),
  usage: CompletionUsage
}).annotate({
  identifier: "ChatCompletion",
  description: "The answer.",
  examples: [
    {
      id: exampleId,
      object: "chat.completion",
      created,
      model: "gemini-3.8-flash",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "It weaves algebraical patterns, just as a loom weaves flowers and leaves.",
            refusal: null
          },
          logprobs: null,
          finish_reason: "stop"
        }
      ],
      usage: exampleUsage
    }
  ]
})
export type ChatCompletion = typeof ChatCompletion.Type

export const ChatCompletionChunk = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("chat.completion.chunk"),
  created: Count,
  model: Schema.String,
  choices: Schema.Array(
    Schema.Struct({
      index: Schema.Literal(0),
      delta: Schema.Struct({ role: Schema.optionalKey(Schema.Literal("assistant")), content: Schema.optionalKey(Schema.String) }),
      logprobs: Schema.Null,
      finish_reason: Schema.NullOr(FinishReason)
    })
  ).annotate({ description: "One choice; none in the chunk with the usage." }),
  usage: optional(CompletionUsage)
}).annotate({
  identifier: "ChatCompletionChunk",
  description:
    "An event of a streamed answer. `usage` is null but in the last chunk, and absent without `stream_options.include_usage`."
})
export type ChatCompletionChunk = typeof ChatCompletionChunk.Type

const exampleChunk = (delta: object, finish: string | null) =>
  `data: ${JSON.stringify({
    id: exampleId,
    object: "chat.completion.chunk",
    created,
    model: "gemini-3.8-flash",
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }]
  })}\n\n`
export const exampleChunks = [
  exampleChunk({ role: "assistant", content: "" }, null),
  exampleChunk({ content: "It weaves algebraical patterns." }, null),
  exampleChunk({}, "stop"),
  "data: [DONE]\n\n"
].join("")

const exampleModel = {
  id: "gemini-3.8-flash",
  object: "model" as const,
  created: 1_788_307_200,
  owned_by: "google" as const,
  shutdown_date: null
}
export const OpenAiModel = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model"),
  created: Count.annotate({ description: "Seconds since 1970: the day of the model's first price." }),
  owned_by: Schema.Literal("google"),
  shutdown_date: Schema.NullOr(Schema.String).annotate({ description: "The UTC day from which it no longer answers." })
}).annotate({ identifier: "OpenAiModel", description: "A model that answers chat completions.", examples: [exampleModel] })
export type OpenAiModel = typeof OpenAiModel.Type

export const OpenAiModelList = Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(OpenAiModel) }).annotate({
  identifier: "OpenAiModelList",
  description: "The models that the user may choose.",
  examples: [{ object: "list", data: [exampleModel] }]
})
