import { Effect, Schema } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpApiSchema } from "effect/http-api"
import type { Cursors } from "./Cursors.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"

const Position = Schema.Struct({ before: Schema.String })

/** A page of a list that begins with the newest id, and where the next one is. `list` binds its cursors to it. */
export const newestFirst = Effect.fnUntraced(function* <A extends { readonly id: string }, E, R>(
  cursors: Cursors["Service"],
  list: string,
  {
    query,
    request
  }: {
    readonly query: { readonly limit?: number; readonly cursor?: string }
    readonly request: HttpServerRequest.HttpServerRequest
  },
  find: (page: { readonly limit: number; readonly before: string | undefined }) => Effect.Effect<
    {
      readonly found: ReadonlyArray<A>
      readonly hasMore: boolean
      /** The last item that was looked at, if more were than found. */
      readonly lastId?: string | undefined
    },
    E,
    R
  >
) {
  const before = query.cursor === undefined ? undefined : (yield* cursors.decode(list, Position, query.cursor)).before
  const { found, hasMore, lastId = found.at(-1)?.id } = yield* find({ limit: query.limit ?? defaultLimit, before })
  const nextCursor = hasMore && lastId !== undefined ? cursors.encode(list, { before: lastId }) : null
  return HttpApiSchema.withHeaders({
    body: { data: found, hasMore, nextCursor },
    headers: nextLink(request.originalUrl, nextCursor)
  })
})
