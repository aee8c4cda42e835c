import { Context, Deferred, Effect, Layer } from "effect"

/** Whether this process is shutting down: it is no longer ready, and streams and waits end. */
export class Draining extends Context.Service<
  Draining,
  {
    readonly isDraining: () => boolean
    /** Completes when draining begins. */
    readonly begun: Effect.Effect<void>
    readonly begin: Effect.Effect<void>
  }
>()("chat-backend/ops/Draining") {
  static readonly layer = Layer.effect(
    Draining,
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      // Closed after the server and the worker, which use this service. A start that failed says why, and nothing else.
      yield* Effect.addFinalizer(() => (Deferred.isDoneUnsafe(begun) ? Effect.logInfo("Stopped") : Effect.void))
      return Draining.of({
        isDraining: () => Deferred.isDoneUnsafe(begun),
        begun: Deferred.await(begun),
        begin: Effect.asVoid(Deferred.succeed(begun, undefined))
      })
    })
  )
}

/** Built on top of the server and therefore closed first: draining begins while the server still answers. */
export const DrainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const draining = yield* Draining
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.logInfo("Draining: requests and replies in progress end"), draining.begin)
    )
  })
)
