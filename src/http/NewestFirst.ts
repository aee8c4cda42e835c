import { Effect, Schema } from "effect"
import type { HttpServerRequest } from "effect/http"
import { HttpApiSchema } from "effect/http-api"
import type { Cursors } from "./Cursors.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"

const Position = Schema.Struct({ before: Schema.String })

/** A page of a list that begins with the newest id, and where the next one is. `list` binds its cursors to it. */
export const newestFirst = Effect.fnUntraced(function* <A extends { readonly id: string }>(
  cursors: Cursors["Service"],
  list: string,
  {
    query,
    request
  }: {
    readonly query: { readonly limit?: number; readonly cursor?: string }
    readonly request: HttpServerRequest.HttpServerRequest
  },
  find: (page: {
    readonly limit: number
    readonly before: string | undefined
  }) => Effect.Effect<{ readonly found: ReadonlyArray<A>; readonly hasMore: boolean }>
) {
  const before = query.cursor === undefined ? undefined : (yield* cursors.decode(list, Position, query.cursor)).before
  const { found, hasMore } = yield* find({ limit: query.limit ?? defaultLimit, before })
  const last = found.at(-1)
  const nextCursor = hasMore && last !== undefined ? cursors.encode(list, { before: last.id }) : null
  return HttpApiSchema.withHeaders({
    body: { data: found, hasMore, nextCursor },
    headers: nextLink(request.originalUrl, nextCursor)
  })
})
