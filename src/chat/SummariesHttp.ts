import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { Summaries } from "./Summaries.ts"

export const SummariesHttp = HttpApiBuilder.group(
  Api,
  "summaries",
  Effect.fn(function* (handlers) {
    const summaries = yield* Summaries

    return handlers.handleAll({
      getSummary: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        return yield* summaries.find(userId, params.id)
      }),

      deleteSummary: Effect.fnUntraced(function* ({ params }) {
        const { userId } = yield* CurrentUser
        yield* summaries.remove(userId, params.id)
      })
    })
  })
)
