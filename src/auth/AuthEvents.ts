import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { type Origin, storedUserAgent } from "../http/ClientAddress.ts"
import type { AuthEventKind } from "../api/account/UserExport.ts"

/** The history of an account: append-only, and part of the user's export. */
export class AuthEvents extends Context.Service<
  AuthEvents,
  {
    readonly append: (userId: string, kind: AuthEventKind, origin: Origin, sessionId?: string) => Effect.Effect<void>
  }
>()("chat-backend/auth/AuthEvents") {
  static readonly layer = Layer.effect(
    AuthEvents,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const append: AuthEvents["Service"]["append"] = Effect.fn("AuthEvents.append")(function* (userId, kind, origin, sessionId) {
        yield* sql`
          insert into auth_events (user_id, id, kind, session_id, address, user_agent)
          select u.id, ${uuid()}::uuid, ${kind}, ${sessionId ?? null}::uuid, ${origin.address}, ${storedUserAgent(origin)}
          -- Inserts nothing when the account is deleted at the same moment.
          from users u where u.id = ${userId} for key share
        `
      }, Effect.orDie)

      return AuthEvents.of({ append })
    })
  )
}
