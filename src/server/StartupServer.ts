import { createServer } from "node:http"
import { Effect } from "effect"
import { AppConfig } from "../config/Settings.ts"

const problem = (code: string, title: string) => ({
  type: `urn:problem-type:${code}`,
  title,
  status: 503,
  detail: title,
  code,
  retryAfter: 1
})

/** What a process answers before it has a database: it is alive, and it is not ready. */
const answer = (url: string) => {
  if (/^\/healthz\/?(\?|$)/i.test(url)) return { status: 200, body: { status: "ok" } }
  if (/^\/readyz\/?(\?|$)/i.test(url)) {
    return { status: 503, body: { ...problem("not_ready", "The process is not ready"), checks: { database: "failed" } } }
  }
  return { status: 503, body: problem("unavailable", "A service that the request needs is unavailable") }
}

/**
 * Runs `wait` and meanwhile answers probes on the process's port, so that a supervisor does not restart a process whose
 * database is away. A process that need not wait opens no port here; neither does one that cannot: the server proper says why.
 */
export const answeringProbes = <A, E, R>(wait: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const { apiPrefix = "", host, opsPort } = yield* AppConfig
    if (opsPort === undefined) return yield* wait
    const serve = Effect.acquireRelease(
      Effect.callback<ReturnType<typeof createServer>>((resume) => {
        const server = createServer((request, response) => {
          const path = request.url ?? "/"
          const { body, status } = answer(path.startsWith(`${apiPrefix}/`) ? path.slice(apiPrefix.length) : path)
          const requestId = crypto.randomUUID()
          const isProblem = status !== 200
          response.writeHead(status, {
            "content-type": isProblem ? "application/problem+json" : "application/json",
            "x-request-id": requestId,
            "x-content-type-options": "nosniff",
            connection: "close",
            ...(isProblem ? { "retry-after": "1" } : {})
          })
          response.end(request.method === "HEAD" ? undefined : JSON.stringify(isProblem ? { ...body, requestId } : body))
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
    // The port is opened only when the wait is longer than a start usually takes.
    const waiting = Effect.andThen(Effect.sleep("500 millis"), Effect.andThen(serve, Effect.never))
    return yield* Effect.scoped(Effect.raceFirst(wait, waiting))
  })
