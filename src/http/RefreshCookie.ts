import { Context, Duration, Effect, Layer } from "effect"
import { type HttpServerRequest, HttpServerResponse } from "effect/http"
import { refreshTokenHeader } from "../api/auth/AuthBodies.ts"
import { CrossOriginCookie } from "../api/auth/AuthErrors.ts"
import { AppConfig } from "../config/Settings.ts"

/** Browsers refuse a cookie of this prefix unless it is `Secure`, of `/` and of one host, so no other host can set it. */
const secureName = "__Host-refresh"
const plainName = "refresh"

type Request = HttpServerRequest.HttpServerRequest

/**
 * Whether a page of this origin made the request. Browsers say so; a browser too old for that, which says nothing, sends the
 * custom header to another origin only after a preflight that does not allow it.
 */
const isSameOrigin = ({ headers }: Request) => (headers["sec-fetch-site"] ?? "same-origin") === "same-origin"

const asksForCookie = ({ headers }: Request) => headers[refreshTokenHeader] === "cookie"

/**
 * The refresh token as a cookie that no script can read, for pages of the API's own origin. It counts only for the routes
 * that exchange or end it, and only beside the header `X-Refresh-Token: cookie`.
 */
export class RefreshCookie extends Context.Service<
  RefreshCookie,
  {
    /** Whether the request asks for the cookie instead of the token in the body. Refuses a page of another origin. */
    readonly isWanted: (request: Request) => Effect.Effect<boolean, CrossOriginCookie>
    /** The cookie's token, where it counts. */
    readonly read: (request: Request) => string | undefined
    /** The response with the token in a cookie that the browser keeps for these seconds. */
    readonly set: (
      response: HttpServerResponse.HttpServerResponse,
      token: string,
      seconds: number
    ) => HttpServerResponse.HttpServerResponse
    /** 204, and the browser forgets the cookie. */
    readonly clear: HttpServerResponse.HttpServerResponse
  }
>()("chat-backend/http/RefreshCookie") {
  static readonly layer = Layer.effect(
    RefreshCookie,
    Effect.map(AppConfig, ({ appUrl, environment }) => {
      const secure = environment === "production" || appUrl.startsWith("https:")
      const name = secure ? secureName : plainName
      const options = { httpOnly: true, secure, sameSite: "strict", path: "/" } as const

      return RefreshCookie.of({
        isWanted: (request) => {
          if (!asksForCookie(request)) return Effect.succeed(false)
          return isSameOrigin(request) ? Effect.succeed(true) : Effect.fail(new CrossOriginCookie())
        },
        read: (request) => (asksForCookie(request) && isSameOrigin(request) ? request.cookies[name] : undefined),
        set: (response, token, seconds) =>
          HttpServerResponse.setCookieUnsafe(response, name, token, { ...options, maxAge: Duration.seconds(seconds) }),
        clear: HttpServerResponse.expireCookieUnsafe(HttpServerResponse.empty({ status: 204 }), name, options)
      })
    })
  )
}
