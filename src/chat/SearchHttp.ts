import { Effect, Schema } from "effect"
import { HttpApiBuilder, HttpApiSchema } from "effect/http-api"
import { Api } from "../Api.ts"
import { CurrentUser } from "../auth/AuthApi.ts"
import { Cursors } from "../http/Cursors.ts"
import { defaultLimit, nextLink } from "../http/Pagination.ts"
import { Search } from "./Search.ts"

const Position = Schema.Struct({ before: Schema.String })

export const SearchHttp = HttpApiBuilder.group(
  Api,
  "search",
  Effect.fn(function* (handlers) {
    const search = yield* Search
    const cursors = yield* Cursors

    return handlers.handleAll({
      search: Effect.fnUntraced(function* ({ query, request }) {
        const { userId } = yield* CurrentUser
        const list = `search:${userId}:${query.q}`
        const before = query.cursor === undefined ? undefined : (yield* cursors.decode(list, Position, query.cursor)).before
        const { found, hasMore } = yield* search.find(userId, { words: query.q, limit: query.limit ?? defaultLimit, before })
        const last = found.at(-1)
        const nextCursor = hasMore && last !== undefined ? cursors.encode(list, { before: last.id }) : null
        return HttpApiSchema.withHeaders({
          body: { data: found, hasMore, nextCursor },
          headers: nextLink(request.originalUrl, nextCursor)
        })
      })
    })
  })
)
