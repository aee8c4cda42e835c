import { HttpApi, OpenApi } from "effect/http-api"
import { AuthApi, SessionsApi } from "./auth/AuthApi.ts"
import { UserApi } from "./auth/UserApi.ts"
import { BillingApi, WebhookApi } from "./billing/BillingApi.ts"
import { ChatApi, SearchApi } from "./chat/ChatApi.ts"
import { Problems } from "./http/ProblemsApi.ts"
import { AdminApi } from "./ops/AdminApi.ts"
import { OpsApi } from "./ops/OpsApi.ts"

/** The contract's root. It imports no server code: clients, documents and tests are made of it. */
export class Api extends HttpApi.make("gemini-chat-backend")
  .add(AuthApi)
  .add(SessionsApi)
  .add(UserApi)
  .add(ChatApi)
  .add(SearchApi)
  .add(BillingApi)
  .add(WebhookApi)
  .add(OpsApi)
  .add(AdminApi)
  .middleware(Problems)
  .annotate(HttpApi.ParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Gemini chat backend",
      version: "0.1.0",
      description: "One-time-code login, chatrooms, and Gemini's answers through a durable queue.",
      license: { name: "MIT", identifier: "MIT" }
    })
  ) {}
