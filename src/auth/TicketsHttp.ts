import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { pathFor } from "../http/ApiPrefix.ts"
import { Tickets } from "./Tickets.ts"

/** Creates tickets of the caller for a path, with the URL that the caller's browser opens. */
export const makeTicketFor = Effect.map(Tickets, (tickets) =>
  Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest, path: string) {
    const { expiresAt, ticket } = yield* tickets.issue(yield* CurrentUser, path)
    return { ticket, expiresAt, url: `${yield* pathFor(request, path)}?ticket=${ticket}` }
  })
)
