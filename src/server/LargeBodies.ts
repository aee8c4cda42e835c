import { Effect, Exit, Scope } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Unavailable } from "../api/Problems.ts"
import { type Bulkhead, type BulkheadOptions, makeBulkhead } from "../ops/Bulkhead.ts"
import type { RequestSlot } from "../ops/RequestSlot.ts"
import { defaultBody, type Route } from "./Routes.ts"

/** In a process, and of one address, so that it cannot take all places. */
interface Limits {
  readonly all: BulkheadOptions
  readonly ofAddress: BulkheadOptions
}

const maxWait = "10 seconds"
/** Requests that are worked on at once from the first byte on: each takes up to 50 MiB with all that is made of its body. */
const worked: Limits = { all: { permits: 4, waiting: 60, maxWait }, ofAddress: { permits: 1, waiting: 10, maxWait } }
/** Requests that wait for their replies, which keeps what was decoded: some MiB each. */
const answered: Limits = { all: { permits: 64, waiting: 60, maxWait }, ofAddress: { permits: 16, waiting: 10, maxWait } }
/** Those of them that are worked on at once until they wait. All others have a place to wait here. */
const begun: Limits = { all: { permits: 4, waiting: 60, maxWait }, ofAddress: { permits: 1, waiting: 15, maxWait } }

/** Whether a request has a body over the usual limit, or may have one. */
export const hasLargeBody = ({ maximumBody }: Route, { headers }: HttpServerRequest.HttpServerRequest): boolean =>
  maximumBody > defaultBody && (headers["content-length"] === undefined || Number(headers["content-length"]) > defaultBody)

/** The turn of a request that waits for its reply. */
export interface Turn {
  /** Waits for the turn. Called when the body has come: how long that takes is up to the client, and must not block others. */
  readonly begin: Effect.Effect<void, Unavailable>
  /** The request's slot, which ends the turn when the request begins to wait for its reply. */
  readonly slotOf: <Slot extends RequestSlot>(slot: Slot) => Slot
  /** Gives back everything when the request is answered. */
  readonly end: Effect.Effect<void>
}

/** Has requests with large bodies worked on a few at a time. */
export const makeLargeBodies = () => {
  const limitedTo = ({ all, ofAddress }: Limits) => {
    const bulkheads: Readonly<Record<keyof Limits, Bulkhead>> = { all: makeBulkhead(all), ofAddress: makeBulkhead(ofAddress) }
    return (address: string) =>
      Effect.andThen(bulkheads.ofAddress.acquire(address), bulkheads.all.acquire("")).pipe(
        Effect.mapError(() => Unavailable.because("overloaded"))
      )
  }
  const work = limitedTo(worked)
  const answer = limitedTo(answered)
  const begin = limitedTo(begun)

  /** Runs the whole request in its turn, its body included: a body of many MiB must not come before. */
  const inTurn = <A, E, R>(address: string, handled: Effect.Effect<A, E, R>) =>
    Effect.scoped(Effect.andThen(work(address), handled))

  const turnOf = (address: string): Turn => {
    const whole = Scope.makeUnsafe()
    const turn = Scope.makeUnsafe()
    let hasBegun = false
    const endTurn = Scope.close(turn, Exit.void)
    return {
      begin: Scope.provide(answer(address), whole).pipe(
        Effect.andThen(Scope.provide(begin(address), turn)),
        Effect.andThen(Effect.sync(() => void (hasBegun = true)))
      ),
      slotOf: (slot) => ({
        ...slot,
        move: (to) => {
          if (hasBegun) Effect.runFork(endTurn)
          return slot.move(to)
        }
      }),
      end: Effect.andThen(endTurn, Scope.close(whole, Exit.void))
    }
  }

  return { inTurn, turnOf }
}
