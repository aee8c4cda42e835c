import { Context, Deferred, Effect, Layer } from "effect"

/** Whether this process was told to go. Readiness shows it; whatever would hold a connection open ends with it. */
export class Draining extends Context.Service<
  Draining,
  {
    readonly isDraining: () => boolean
    /** Ends when draining begins. */
    readonly begun: Effect.Effect<void>
    readonly begin: Effect.Effect<void>
  }
>()("chat-backend/ops/Draining") {
  static readonly layer = Layer.effect(
    Draining,
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      return Draining.of({
        isDraining: () => Deferred.isDoneUnsafe(begun),
        begun: Deferred.await(begun),
        begin: Effect.asVoid(Deferred.succeed(begun, undefined))
      })
    })
  )
}

/** To be built on top of the server, and so closed before it: draining begins while it still answers. */
export const DrainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const draining = yield* Draining
    yield* Effect.addFinalizer(() => draining.begin)
  })
)
