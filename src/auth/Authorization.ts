import { Context, Effect, Layer, Redacted } from "effect"
import { HttpServerRequest } from "effect/http"
import { AllowsKey, AllowsRecovery, AllowsRefreshCookie, ShowsPage } from "../api/Annotations.ts"
import { rejectUnexpectedBody } from "../http/RequestGuard.ts"
import { AcceptsTicket, type TicketUse } from "../api/Ticket.ts"
import { Authorization, CurrentUser } from "../api/auth/AuthApi.ts"
import { KeyNotAllowed, ReauthenticationRequired, Unauthenticated } from "../api/auth/AuthErrors.ts"
import { identifyUser } from "../ops/RequestIdentity.ts"
import { SessionEnded } from "../ops/RequestSlot.ts"
import { AppConfig } from "../config/Settings.ts"
import { isOpenedByBrowser, returnPage } from "../http/ReturnPage.ts"
import { RefreshCookie } from "../http/RefreshCookie.ts"
import { makeAuthenticateToken } from "./Authentication.ts"
import { Sessions } from "./Sessions.ts"
import { Tickets } from "./Tickets.ts"
import { Tokens } from "./Tokens.ts"

export const AuthorizationLayer = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const { frontEnd } = yield* AppConfig
    const byToken = yield* makeAuthenticateToken
    const tokens = yield* Tokens
    const sessions = yield* Sessions
    const cookie = yield* RefreshCookie
    const tickets = yield* Tickets

    /** The session of the refresh cookie, for a request whose access token is refused. */
    const byCookie = Effect.fnUntraced(function* (refused: Unauthenticated) {
      const claims = tokens.readRefreshToken(cookie.read(yield* HttpServerRequest.HttpServerRequest) ?? "")
      const session = claims === undefined ? undefined : yield* sessions.find(claims.userId, claims.sessionId)
      return session ?? (yield* refused)
    })

    /** The session of a ticket, for a request without an access token. */
    const byTicket = Effect.fnUntraced(function* (use: TicketUse) {
      const { headers, url } = yield* HttpServerRequest.HttpServerRequest
      const [path = "", query] = url.split("?", 2)
      const ticket = new URLSearchParams(query).get("ticket")
      if (ticket === null) return yield* Unauthenticated.because("unauthenticated")
      return yield* tickets.redeem({ ticket, path, use, isReconnect: headers["last-event-id"] !== undefined })
    })

    /** The session of the credentials that the endpoint accepts. */
    const sessionFor = (token: string, annotations: Context.Context<never>) => {
      const use = Context.get(annotations, AcceptsTicket)
      if (token === "" && use !== undefined) return byTicket(use)
      return Context.get(annotations, AllowsRefreshCookie) ? Effect.catch(byToken(token), byCookie) : byToken(token)
    }

    return Authorization.of({
      bearer: Effect.fnUntraced(function* (httpEffect, { credential, endpoint, group }) {
        const token = Redacted.value(credential)
        const request = yield* HttpServerRequest.HttpServerRequest
        if (token === "" && Context.get(endpoint.annotations, ShowsPage)) {
          if (isOpenedByBrowser(request)) return returnPage(request, frontEnd)
        }
        const session = yield* sessionFor(token, endpoint.annotations)
        identifyUser(request.source, session.userId)
        if (session.isRecovery && !Context.get(endpoint.annotations, AllowsRecovery)) {
          return yield* new ReauthenticationRequired()
        }
        if (session.isKey && !Context.get(Context.merge(group.annotations, endpoint.annotations), AllowsKey)) {
          return yield* new KeyNotAllowed()
        }
        if (endpoint.payload.size === 0 && endpoint.method !== "GET") yield* rejectUnexpectedBody
        const ended = sessions.ended(session.userId, session.sessionId)
        // Added one by one: a merge would copy every service of the process for each request.
        return yield* httpEffect.pipe(Effect.provideService(CurrentUser, session), Effect.provideService(SessionEnded, ended))
      })
    })
  })
)
