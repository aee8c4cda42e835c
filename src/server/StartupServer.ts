import { createServer } from "node:http"
import { Effect } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { errorOf, isOpenAiPath } from "../openai/ErrorResponse.ts"

const problem = (code: string, title: string) => ({
  type: `urn:problem-type:${code}`,
  title,
  status: 503,
  detail: title,
  code,
  retryAfter: 1
})

const unavailable = problem("unavailable", "A service that the request needs is unavailable")

/** The responses of a process that has no database yet: up, but not ready. */
const respond = (url: string) => {
  if (/^\/healthz\/?(\?|$)/i.test(url)) return { status: 200, body: { status: "ok" } }
  if (/^\/readyz\/?(\?|$)/i.test(url)) {
    return { status: 503, body: { ...problem("not_ready", "The process is not ready"), checks: { database: "failed" } } }
  }
  return { status: 503, body: unavailable }
}

/**
 * Runs `wait` and answers probes on the process's port meanwhile, so that a supervisor does not restart a process whose
 * database is unavailable. It opens no port when the wait is short. When it cannot listen, it leaves the error to the server.
 */
export const answeringProbes = <A, E, R>(wait: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { apiPrefix = "", host, opsPort } = yield* AppConfig
    if (opsPort === undefined) return yield* wait
    const serve = Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((request, response) => {
          const path = request.url ?? "/"
          const own = path.startsWith(`${apiPrefix}/`) ? path.slice(apiPrefix.length) : path
          const { body, status } = respond(own)
          const isOpenAi = isOpenAiPath(own)
          const requestId = crypto.randomUUID()
          const isProblem = status !== 200
          response.writeHead(status, {
            "content-type": isProblem && !isOpenAi ? "application/problem+json" : "application/json",
            "x-request-id": requestId,
            "x-content-type-options": "nosniff",
            connection: "close",
            ...(isProblem ? { "retry-after": "1" } : {})
          })
          const shown = isOpenAi ? errorOf(unavailable) : isProblem ? { ...body, requestId } : body
          response.end(request.method === "HEAD" ? undefined : JSON.stringify(shown))
        })
        server.once("error", () => resume(Effect.succeed(server)))
        server.listen(opsPort, host, () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    )
    // A start usually takes less.
    const waiting = Effect.andThen(Effect.sleep("500 millis"), Effect.andThen(serve, Effect.never))
    return yield* Effect.scoped(Effect.raceFirst(wait, waiting))
  })
