import { Context, Effect } from "effect"

/** What a request in progress is doing. Each kind has a bound of its own, so that none can crowd another out. */
export type Activity = "working" | "operating" | "webhook" | "receiving" | "waiting"

/** A request's place among those in progress. */
export interface Place {
  /** Takes a place of another kind in exchange for its own; false, and nothing is changed, when there is none. */
  readonly move: (to: Activity) => boolean
  /** Goes back to the kind it came with, whether or not there is room: what it has done must be answered. */
  readonly back: () => void
  /** As `back`, but only when there is room or it never left. */
  readonly comeBack: () => boolean
  /** Ends when the client has hung up. */
  readonly gone: Effect.Effect<void>
}

/** The place of the request being answered; none where no request is: in a worker, or in what goes on after the answer. */
export const CurrentPlace = Context.Reference<Place | undefined>("chat-backend/Place", { defaultValue: () => undefined })

/**
 * Waits for somebody else (a model, Stripe) without keeping a working place meanwhile: a hundred people who wait must not
 * lock out those who could be served. With too many waiting already it is not begun.
 */
export const elsewhere = <A, E, R, B, E2, R2>(
  wait: Effect.Effect<A, E, R>,
  tooMany: Effect.Effect<B, E2, R2>
): Effect.Effect<A | B, E | E2, R | R2> =>
  Effect.withFiber<A | B, E | E2, R | R2>((fiber) => {
    const place = Context.get(fiber.context, CurrentPlace)
    if (place === undefined) return wait
    return place.move("waiting") ? Effect.ensuring(wait, Effect.sync(place.back)) : tooMany
  })

/**
 * Ends when the client of the request being answered has hung up, and never where no request is. A handler goes on all
 * the same, for what it began is to be finished; but nobody needs to wait for what nobody will read.
 */
export const clientGone: Effect.Effect<void> = Effect.flatMap(CurrentPlace, (place) => place?.gone ?? Effect.never)

/** For what must get through when requests have to wait: it counts as the process's own work, of which there is little. */
export const asOwnWork = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, CurrentPlace, undefined)
