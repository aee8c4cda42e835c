import { randomBytes } from "node:crypto"
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { TooManyAttempts, Unauthenticated } from "../api/auth/AuthErrors.ts"
import { type CurrentSession, SessionId, UserId } from "../api/auth/User.ts"
import type { TicketUse } from "../api/Ticket.ts"
import { Keys } from "../keys/Keys.ts"
import { Sessions } from "./Sessions.ts"
import { Throttle } from "./Throttle.ts"

/** Seconds in which a ticket must be used for the first time. */
const lifetime = 60
/** Seconds after its issue in which a ticket that has opened a stream opens it again. */
const reconnects = 600
/** Seconds that the clocks of two processes may differ. */
const clockSkew = 5

/** Tickets of one user, each of which leaves a row of `throttles` for a day when it is used. */
const issues = { limit: 300, period: Duration.hours(1) }
/** A ticket opens something once: its allowance of one is used up for as long as the ticket could be valid. */
const openings = { limit: 1, period: Duration.seconds(reconnects + 2 * clockSkew) }

const label = "ticket"
const ticketBody = /^([\da-f-]{36})\.([\da-f-]{36})\.(\d{1,12})\.([\w-]{16})$/

const refused = (code: "token_invalid" | "token_expired", detail: string) => Effect.fail(new Unauthenticated({ code, detail }))

/** A request that carries a ticket. */
interface Redemption {
  readonly ticket: string
  /** The path of the request, without its query. */
  readonly path: string
  readonly use: TicketUse
  /** Whether the client has read a part of the stream, and continues after it. */
  readonly isReconnect: boolean
}

/**
 * Tickets for clients that cannot send an access token: a browser's EventSource and its downloads. A ticket is signed for
 * one session and one path, so it needs no row until it is used.
 */
export class Tickets extends Context.Service<
  Tickets,
  {
    /** A ticket for the path, and until when it can be used for the first time. */
    readonly issue: (
      session: CurrentSession,
      path: string
    ) => Effect.Effect<{ readonly ticket: string; readonly expiresAt: string }, TooManyAttempts>
    /** The session that the ticket stands for. Uses the ticket up, except for the reconnects of a stream it has opened. */
    readonly redeem: (redemption: Redemption) => Effect.Effect<CurrentSession, Unauthenticated>
  }
>()("chat-backend/auth/Tickets") {
  static readonly layer = Layer.effect(
    Tickets,
    Effect.gen(function* () {
      const keys = yield* Keys
      const sessions = yield* Sessions
      const throttle = yield* Throttle

      const issue: Tickets["Service"]["issue"] = Effect.fn("Tickets.issue")(function* ({ sessionId, userId }, path) {
        const wait = yield* throttle.take(`tickets:${userId}`, issues)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        const seconds = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const body = `${userId}.${sessionId}.${seconds}.${randomBytes(12).toString("base64url")}`
        return {
          ticket: `${Buffer.from(body).toString("base64url")}.${keys.mac(label, `${body} ${path}`)}`,
          expiresAt: new Date((seconds + lifetime) * 1000).toISOString()
        }
      })

      const read = (ticket: string, path: string) => {
        const [encoded = "", mac = "", ...more] = ticket.split(".")
        const body = Buffer.from(encoded, "base64url").toString("latin1")
        const [, userId, sessionId, seconds, nonce] = ticketBody.exec(body) ?? []
        if (more.length > 0 || userId === undefined || sessionId === undefined || nonce === undefined) return undefined
        if (!keys.verify(label, `${body} ${path}`, mac)) return undefined
        return { userId: UserId.make(userId), sessionId: SessionId.make(sessionId), seconds: Number(seconds), nonce }
      }

      const redeem: Tickets["Service"]["redeem"] = Effect.fn("Tickets.redeem")(function* (redemption) {
        const claims = read(redemption.ticket, redemption.path)
        const age = (yield* Clock.currentTimeMillis) / 1000 - (claims?.seconds ?? 0)
        if (claims === undefined || age < -clockSkew)
          return yield* refused("token_invalid", "The ticket is invalid for this path")
        const mayReconnect = redemption.use === "stream" && redemption.isReconnect
        if (age > (mayReconnect ? reconnects : lifetime) + clockSkew) {
          return yield* refused("token_expired", "The ticket has expired")
        }
        const session = yield* sessions.find(claims.userId, claims.sessionId)
        if (session === undefined) return yield* Unauthenticated.because("session_revoked")
        const opening = `ticket:${claims.nonce}`
        // The allowance that the first use took is proof that this ticket has opened the stream.
        if (mayReconnect && (yield* throttle.peek(opening, openings)) > 0) return session
        if (age > lifetime + clockSkew) return yield* refused("token_expired", "The ticket has expired")
        const wait = yield* throttle.take(opening, openings)
        return wait > 0 ? yield* refused("token_expired", "The ticket was used before") : session
      })

      return Tickets.of({ issue, redeem })
    })
  )
}
