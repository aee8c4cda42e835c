import { Context, Deferred, Effect, Layer } from "effect"
import { AppConfig } from "../config/Settings.ts"

/** Whether this process is shutting down: it is no longer ready, and streams and waits end. */
export class Draining extends Context.Service<
  Draining,
  {
    readonly isDraining: () => boolean
    /** Whether load balancers must send no more requests: from `leave` on. */
    readonly isLeaving: () => boolean
    /** Makes the process not ready, while it goes on as before. */
    readonly leave: Effect.Effect<void>
    /** Completes when draining begins. */
    readonly begun: Effect.Effect<void>
    readonly begin: Effect.Effect<void>
  }
>()("chat-backend/ops/Draining") {
  static readonly layer = Layer.effect(
    Draining,
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      let isLeaving = false
      // Closed after the server and the worker, which use this service. A start that failed says why, and nothing else.
      yield* Effect.addFinalizer(() => (Deferred.isDoneUnsafe(begun) ? Effect.logInfo("Stopped") : Effect.void))
      return Draining.of({
        isDraining: () => Deferred.isDoneUnsafe(begun),
        isLeaving: () => isLeaving || Deferred.isDoneUnsafe(begun),
        leave: Effect.sync(() => void (isLeaving = true)),
        begun: Deferred.await(begun),
        begin: Effect.asVoid(Deferred.succeed(begun, undefined))
      })
    })
  )
}

/**
 * Built on top of the server and therefore closed first: draining begins while the server still answers. Before that,
 * an API process takes requests for `DRAIN_DELAY` seconds in which it is not ready, so that load balancers leave it out
 * before it refuses connections.
 */
export const DrainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const draining = yield* Draining
    const { drainDelay, role } = yield* AppConfig
    const leave = Effect.gen(function* () {
      yield* Effect.logInfo(`Not ready any more; draining in ${drainDelay} seconds`)
      yield* draining.leave
      yield* Effect.sleep(drainDelay * 1_000)
    })
    yield* Effect.addFinalizer(() =>
      (drainDelay === 0 || role === "worker" ? Effect.void : leave).pipe(
        Effect.andThen(Effect.logInfo("Draining: finishing requests and replies in progress")),
        Effect.andThen(draining.begin)
      )
    )
  })
)
