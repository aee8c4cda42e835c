import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { Cursors } from "../http/Cursors.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { orTooManyRequests } from "../http/PerUser.ts"
import { Search } from "./Search.ts"

export const SearchHttp = HttpApiBuilder.group(
  Api,
  "search",
  Effect.fn(function* (handlers) {
    const search = yield* Search
    const cursors = yield* Cursors

    return handlers.handleAll({
      search: Effect.fnUntraced(function* (call) {
        const { userId } = yield* CurrentUser
        const words = call.query.q
        return yield* newestFirst(cursors, `search:${userId}:${words}`, call, (page) =>
          orTooManyRequests(search.find(userId, { words, ...page }))
        )
      })
    })
  })
)
