import { ByteSize, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AllowsKey, AwaitsReply, CacheControl, largeBody, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { BudgetExceeded, QuotaExceeded, SpendLimitReached } from "../chat/ChatErrors.ts"
import { StreamsBusy } from "../chat/StreamErrors.ts"
import { describe } from "../Describe.ts"
import {
  AttachmentsNotInPlan,
  AttachmentsTooLarge,
  StorageFull,
  StorageUnavailable,
  UploadsLimited
} from "../files/FileErrors.ts"
import { IdempotencyKey, IdempotencyKeyReused } from "../Idempotency.ts"
import { ModelNotInPlan } from "../models/ModelErrors.ts"
import { TooManyRequests } from "../Problems.ts"
import { ChatCompletion, CreateCompletion, maximumRequestBytes, OpenAiModel, OpenAiModelList } from "./Completion.ts"
import {
  CompletionFailed,
  CompletionUnavailable,
  ContextTooLong,
  InvalidValue,
  ModelExhausted,
  ModelNotFound,
  RejectedByModel,
  UnknownParameter,
  UnsupportedParameter
} from "./CompletionErrors.ts"

/** The `Cache-Control` of answers: nothing keeps them, and nothing collects or compresses their events. */
export const completionCacheControl = "private, no-store, no-transform"

/** The routes of OpenAI's API that OpenAI's clients need to talk to the server's models. */
export class OpenAiApi extends HttpApiGroup.make("openai")
  .add(
    HttpApiEndpoint.get("listModels", "/models", { success: OpenAiModelList }).annotateMerge(
      describe("listOpenAiModels", "List the models", "The models that the user may choose now.")
    ),
    HttpApiEndpoint.get("getModel", "/models/:id", {
      params: { id: Schema.String.annotate({ description: "Model id.", examples: ["gemini-3.8-flash"] }) },
      success: OpenAiModel,
      error: ModelNotFound
    }).annotateMerge(describe("getOpenAiModel", "Get a model", "One of the models that the user may choose now.")),
    HttpApiEndpoint.post("createCompletion", "/chat/completions", {
      headers: IdempotencyKey,
      payload: CreateCompletion,
      success: [ChatCompletion, HttpApiSchema.StreamUint8Array({ contentType: "text/event-stream" })],
      error: [
        UnsupportedParameter,
        UnknownParameter,
        InvalidValue,
        ContextTooLong,
        RejectedByModel,
        ModelNotInPlan,
        AttachmentsNotInPlan,
        ModelNotFound,
        StorageFull,
        AttachmentsTooLarge,
        IdempotencyKeyReused,
        QuotaExceeded,
        BudgetExceeded,
        UploadsLimited,
        TooManyRequests,
        CompletionFailed,
        CompletionUnavailable,
        ModelExhausted,
        SpendLimitReached,
        StorageUnavailable,
        StreamsBusy
      ]
    })
      .annotateMerge(
        describe(
          "createChatCompletion",
          "Create a chat completion",
          "Answers the last message. Takes one prompt of the day's quota, and is in no list of chatrooms. With `stream`, the answer is a stream of events that ends with `data: [DONE]`; after the first text, a failure is an event with an `error`. A disconnect cancels the answer, unless the request has an idempotency key, with which the client can get the answer later."
        )
      )
      .annotateMerge(largeBody(ByteSize.bytes(maximumRequestBytes), 30_000))
      .annotate(AwaitsReply, true)
  )
  .prefix("/v1")
  .middleware(Authorization)
  .annotate(AllowsKey, true)
  .annotate(CacheControl, noStore)
  .annotateMerge(
    OpenApi.annotations({
      title: "OpenAI",
      description: "Chat completions for OpenAI's clients. Refusals have the form of OpenAI's API."
    })
  ) {}
