import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { Origin } from "../http/ClientAddress.ts"
import type { AuthEventKind } from "../api/account/UserExport.ts"

/** What happened to an account: appended, never changed; the user's export shows it. */
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
          select u.id, ${uuid()}::uuid, ${kind}, ${sessionId ?? null}::uuid, ${origin.address}, ${origin.userAgent?.slice(0, 300) ?? null}
          -- The account may be deleted at this moment: then there is nothing to append to, and nothing went wrong.
          from users u where u.id = ${userId} for key share
        `
      }, Effect.orDie)

      return AuthEvents.of({ append })
    })
  )
}
