import { Effect, Schema } from "effect"
import { FetchHttpClient, HttpClientRequest } from "effect/http"
import { HttpApiClient, HttpApiMiddleware } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"
import { Authorization } from "../../src/api/auth/AuthApi.ts"
import { Mobile } from "../../src/api/auth/Mobile.ts"
import { ChatroomId } from "../../src/api/chat/Chatroom.ts"

/** The contract's client as a front end makes it: every call, response and refusal has the contract's types. */
const clientOf = (baseUrl: string, token = "") =>
  HttpApiClient.make(Api, { baseUrl }).pipe(
    Effect.provide(
      HttpApiMiddleware.layerClient(Authorization, ({ next, request }) => next(HttpClientRequest.bearerToken(request, token)))
    ),
    Effect.provide(FetchHttpClient.layer)
  )

/** Signs up, logs in with the code, opens a room and lists it, and asks for a room that does not exist. */
export const tour = (baseUrl: string, typedMobile: string) =>
  Effect.gen(function* () {
    const mobile = yield* Schema.decodeEffect(Mobile)(typedMobile)
    const { auth } = yield* clientOf(baseUrl)
    const { user } = yield* auth.signUp({ payload: { mobile, name: "Ada" } })
    const { challengeId, otp = "" } = yield* auth.sendOtp({ payload: { mobile } })
    const login = yield* auth.verifyOtp({ headers: {}, payload: { mobile, otp, challengeId } })
    const { chat } = yield* clientOf(baseUrl, login.token)
    const { body: room } = yield* chat.createChatroom({ headers: {}, payload: { title: "Looms" } })
    const { body: list } = yield* chat.listChatrooms({ headers: {}, query: { limit: 1 } })
    const missing = yield* Effect.flip(chat.getChatroom({ params: { id: ChatroomId.make(user.id) } }))
    return { status: [user.status, login.user.status], room, list, missing }
  }).pipe(Effect.runPromise)
