import { Cause, Context, Effect, Exit } from "effect"
import type { HttpServerResponse } from "effect/http"
import { Unavailable } from "../api/Problems.ts"
import { isProblem } from "./ProblemResponse.ts"
import { fromCause, platformProblem, toResponse } from "./Problems.ts"

/**
 * Turns a failure, a bare refusal of the platform and a handler that takes too long into problems; an interruption stays
 * one. The handler has a fiber of its own, because a client that disconnects does not interrupt it. A timer is much
 * cheaper than a race with a second fiber.
 */
export const withProblems = <E, R>(
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  timeoutMillis: number,
  allow: string | undefined
) =>
  Effect.contextWith((context: Context.Context<R>) => {
    const handler = Effect.runForkWith(context)(handled)
    let isLate = false
    const completed = (exit: Exit.Exit<HttpServerResponse.HttpServerResponse, E>) => {
      if (Exit.isSuccess(exit)) {
        const problem = exit.value.status >= 400 && !isProblem(exit.value) ? platformProblem(exit.value) : undefined
        return problem === undefined ? exit : toResponse(problem)
      }
      if (isLate) return toResponse(Unavailable.because("timeout"))
      return Cause.hasInterruptsOnly(exit.cause) ? exit : fromCause(exit.cause, allow)
    }
    const exit = handler.pollUnsafe()
    if (exit !== undefined) return completed(exit)
    return Effect.callback<HttpServerResponse.HttpServerResponse, E>((resume) => {
      const timer = setTimeout(() => {
        isLate = true
        handler.interruptUnsafe()
      }, timeoutMillis)
      handler.addObserver((late) => {
        clearTimeout(timer)
        resume(completed(late))
      })
    })
  })
