import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Effect } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import type { ModelInfo } from "../api/models/ModelsApi.ts"
import type { OpenAiModel } from "../api/openai/Completion.ts"
import { ModelNotFound } from "../api/openai/CompletionErrors.ts"
import { completionCacheControl } from "../api/openai/OpenAiApi.ts"
import { quotaHeaders } from "../chat/ExchangeHttp.ts"
import { AppConfig } from "../config/Settings.ts"
import { replayedHeader } from "../http/Idempotency.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { Completions } from "./Completions.ts"
import { completionOf, finishOf } from "./Ending.ts"

/** Tells proxies not to buffer the events. */
const streamHeaders = { "x-accel-buffering": "no" }

export const OpenAiHttp = HttpApiBuilder.group(
  Api,
  "openai",
  Effect.fn(function* (handlers) {
    const completions = yield* Completions
    const { models } = yield* AppConfig
    const firstDays = new Map(models.map(({ id, prices }) => [id, prices[0]?.from]))

    const shown = ({ id, retiresAt }: ModelInfo): OpenAiModel => ({
      id,
      object: "model",
      created: Math.floor(Date.parse(firstDays.get(id) ?? "1970-01-01") / 1000),
      owned_by: "google",
      shutdown_date: retiresAt
    })

    return handlers.handleAll({
      listModels: Effect.fnUntraced(function* () {
        const found = yield* completions.available(yield* CurrentUser)
        return { object: "list" as const, data: found.map(shown) }
      }),

      getModel: Effect.fnUntraced(function* ({ params }) {
        const found = (yield* completions.available(yield* CurrentUser)).find(({ id }) => id === params.id)
        return found === undefined ? yield* ModelNotFound.of(params.id) : shown(found)
      }),

      createCompletion: Effect.fnUntraced(function* ({ headers, payload, request }) {
        const user = yield* CurrentUser
        const running = yield* orTooManyRequests(completions.start(user, payload, headers["idempotency-key"]))
        // A whole answer is silent for longer than an idle connection may be.
        if (payload.stream !== true) NodeHttpServerRequest.toServerResponse(request).setTimeout(0)
        const answer = yield* completions.answer(running)
        // The client has disconnected.
        if (answer === undefined) return HttpServerResponse.empty()
        const { head, sent } = running
        const own = {
          "cache-control": completionCacheControl,
          ...quotaHeaders(sent.quota, yield* Clock.currentTimeMillis),
          ...replayedHeader(sent.replayed)
        }
        if ("stream" in answer) {
          return HttpServerResponse.raw(answer.stream, {
            contentType: "text/event-stream",
            headers: { ...own, ...streamHeaders }
          })
        }
        const finish = finishOf(answer.message)
        if (finish === undefined) return yield* completions.refuse(answer)
        return HttpServerResponse.jsonUnsafe(completionOf(head, answer.message, finish), { headers: own })
      })
    })
  })
)
