import { Duration, Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import type { Me } from "../api/account/Me.ts"
import { Api } from "../api/Api.ts"
import { Membership } from "../billing/Membership.ts"
import { Quota } from "../chat/Quota.ts"
import { iso } from "../api/Schemas.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { AuthEvents } from "../auth/AuthEvents.ts"
import { makeCachedCaller } from "../auth/CachedCaller.ts"
import { makeTicketFor } from "../auth/TicketsHttp.ts"
import { Throttle } from "../auth/Throttle.ts"
import { Sessions } from "../auth/Sessions.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import { UserData } from "./UserData.ts"
import { Users } from "../auth/Users.ts"
import { filesPath } from "../files/Content.ts"
import { pathFor } from "../http/ApiPrefix.ts"
import { ImmediateAnswers, jsonAnswer } from "../http/ImmediateAnswers.ts"
import { originOf } from "../http/Origin.ts"
import { orTooManyRequests } from "../http/PerUser.ts"

/** Changes of one user's name and e-mail: each records an event. */
const profileChanges = { limit: 60, period: Duration.hours(1) }

export const UserHttp = HttpApiBuilder.group(
  Api,
  "user",
  Effect.fn(function* (handlers) {
    const quota = yield* Quota
    const throttle = yield* Throttle
    const users = yield* Users
    const sessions = yield* Sessions
    const events = yield* AuthEvents
    const membership = yield* Membership
    const data = yield* UserData
    const answers = yield* ImmediateAnswers
    const cachedCaller = yield* makeCachedCaller
    const ticketFor = yield* makeTicketFor

    /** In the order of the schema, because it is sent without a pass of it, too. */
    const present = Effect.fnUntraced(function* (user: CurrentSession): Effect.fn.Return<typeof Me.Type> {
      const { email, hasPassword, mobile, name, tier } = user
      const status = "active" as const
      const today = yield* quota.today(user)
      return {
        id: user.userId,
        mobile,
        name,
        email,
        status,
        createdAt: iso(user.createdAt),
        tier,
        hasPassword,
        quota: today,
        budget: today.budget
      }
    })

    answers.add("/user/me", ({ headers, query }) => {
      const user = query === "" ? cachedCaller(headers.authorization) : undefined
      return user === undefined ? undefined : Effect.map(present(user), (me) => jsonAnswer(me))
    })

    return handlers.handleAll({
      me: () => CurrentUser.use(present),
      updateMe: Effect.fnUntraced(function* ({ payload, request }) {
        const user = yield* CurrentUser
        const origin = yield* originOf(request)
        const wait = yield* throttle.take(`profile:${user.userId}`, profileChanges)
        if (wait > 0) return yield* new TooManyAttempts({ retryAfter: wait })
        const work = [users.update(user.userId, payload), events.append(user.userId, "profile_changed", origin, user.sessionId)]
        yield* sessions.change(user.userId, Effect.all(work, { discard: true }))
        return yield* present({ ...user, ...payload })
      }),
      deleteMe: Effect.fnUntraced(function* () {
        const user = yield* CurrentUser
        yield* membership.prepareDeletion(user.userId)
        yield* sessions.change(user.userId, Effect.andThen(membership.endWithAccount(user.userId), users.remove(user.userId)))
        yield* membership.endDeleted(user.userId)
      }),
      exportMe: Effect.fnUntraced(function* ({ query, request }) {
        const user = yield* CurrentUser
        yield* orTooManyRequests(data.exportTurn(user))
        const exported = data.export(user, { thoughts: query.thoughts === "true", files: yield* pathFor(request, filesPath) })
        return HttpServerResponse.stream(Stream.encodeText(exported), {
          contentType: "application/json",
          headers: { "content-disposition": 'attachment; filename="export.json"' }
        })
      }),
      createExportTicket: ({ request }) => ticketFor(request, "/user/me/export"),
      usage: Effect.fnUntraced(function* () {
        return { data: yield* data.usage(yield* CurrentUser) }
      })
    })
  })
)
