import { HttpApi, OpenApi } from "effect/http-api"
import { AiSdkApi } from "./aisdk/AiSdkApi.ts"
import { UiChunk } from "./aisdk/UiChunk.ts"
import { AuthApi, SessionsApi } from "./auth/AuthApi.ts"
import { ApiKeysApi } from "./auth/ApiKeysApi.ts"
import { UserApi } from "./account/UserApi.ts"
import { BillingApi, PlansApi, WebhookApi } from "./billing/BillingApi.ts"
import { BranchesApi } from "./chat/BranchesApi.ts"
import { ChatApi } from "./chat/ChatApi.ts"
import { ImportApi } from "./chat/ImportApi.ts"
import { RepliesApi } from "./chat/RepliesApi.ts"
import { SearchApi } from "./chat/SearchApi.ts"
import { SummariesApi } from "./chat/SummariesApi.ts"
import { FilesApi } from "./files/FilesApi.ts"
import { ModelsApi } from "./models/ModelsApi.ts"
import { OpenAiApi } from "./openai/OpenAiApi.ts"
import { SharedApi, SharesApi } from "./shares/SharesApi.ts"
import { overview } from "./Overview.ts"
import { Problems, unrouted } from "./Problems.ts"
import { AdminApi } from "./ops/AdminApi.ts"
import { OpsApi } from "./ops/OpsApi.ts"
import { ReplyEvent } from "./chat/StreamEvents.ts"
import { ChatCompletionChunk } from "./openai/Completion.ts"
import { ErrorBody } from "./openai/CompletionErrors.ts"

/** The version of the product and of its contract. */
export const version = "0.1.0"

/** The contract's root. It imports no server code: clients, documents and tests are made of it. */
export class Api extends HttpApi.make("gemini-chat-backend")
  .add(AuthApi)
  .add(SessionsApi)
  .add(UserApi)
  .add(ApiKeysApi)
  .add(ChatApi)
  .add(RepliesApi)
  .add(BranchesApi)
  .add(SummariesApi)
  .add(ImportApi)
  .add(AiSdkApi)
  .add(SearchApi)
  .add(SharesApi)
  .add(SharedApi)
  .add(FilesApi)
  .add(ModelsApi)
  .add(OpenAiApi)
  .add(PlansApi)
  .add(BillingApi)
  .add(WebhookApi)
  .add(OpsApi)
  .add(AdminApi)
  .middleware(Problems)
  // What no schema of an operation names: the events of streams, and what is refused before there is an operation.
  .annotate(HttpApi.AdditionalSchemas, [ReplyEvent, UiChunk, ChatCompletionChunk, ErrorBody, ...unrouted])
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Gemini chat backend",
      version,
      description: overview,
      license: { name: "MIT", identifier: "MIT" },
      servers: [{ url: "http://localhost:3000", description: "A server started with `npm run dev`." }]
    })
  ) {}
