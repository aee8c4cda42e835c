import { Clock, Effect } from "effect"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import { BudgetExceeded } from "../api/chat/ChatErrors.ts"
import { StreamsBusy } from "../api/chat/StreamErrors.ts"
import { Unavailable } from "../api/Problems.ts"
import { isoText } from "../api/Schemas.ts"
import { secondsUntil } from "../chat/Quota.ts"
import type { Sent } from "../chat/Sending.ts"
import { AppConfig } from "../config/Settings.ts"
import { Draining } from "../ops/Draining.ts"
import { clientDisconnected, withoutSlot } from "../ops/RequestSlot.ts"
import type { EventStream } from "../stream/EventStream.ts"
import { type ChunkHead, CompletionFeed, type Ended, WholeFeed } from "./CompletionFeed.ts"
import { failureOf } from "./Ending.ts"

/** Seconds in which a failure of a streamed answer is still a refusal with a status, unless text comes before. */
const firstTextSeconds = 10

/** An accepted request, whose answer is being made. */
export interface Running {
  readonly sent: Sent
  readonly head: ChunkHead
  readonly stream: EventStream
  readonly feed: CompletionFeed | WholeFeed
}

/** Completes when the stream has something to send, has ended, or was closed. */
const readable = (stream: EventStream) =>
  Effect.callback<void>((resume) => {
    const events = ["readable", "end", "close"] as const
    const stop = () => {
      for (const event of events) stream.off(event, done)
    }
    const done = () => {
      stop()
      resume(Effect.void)
    }
    for (const event of events) stream.on(event, done)
    return Effect.sync(stop)
  })

/** Completes when the stream is over; what it sends meanwhile is discarded. */
const closed = (stream: EventStream) =>
  Effect.callback<void>((resume) => {
    if (stream.closed) return resume(Effect.void)
    const done = () => resume(Effect.void)
    stream.once("close", done).resume()
    return Effect.sync(() => stream.off("close", done))
  })

/** Why the server ends a stream before its reply: the process drains, or the client's session has ended. */
export const dismissalOf = (draining: Draining["Service"]) =>
  draining.isDraining() ? Unavailable.because("unavailable") : Unauthenticated.because("session_revoked")

/** Makes the functions that answer a running request, as a whole, as a stream, or with a refusal. */
export const makeAnswers = Effect.gen(function* () {
  const draining = yield* Draining
  const { frontEnd } = yield* AppConfig

  const overBudget = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const resetsAt = isoText(new Date(now + 86_400_000).toISOString().slice(0, 10))
    return new BudgetExceeded({ resetsAt, upgradeUrl: frontEnd.upgrade, retryAfter: secondsUntil(resetsAt, now) })
  })

  /** The problem of a reply that has ended before anything was sent. */
  const refuse = Effect.fnUntraced(function* (ended: Ended) {
    if (ended === "dismissed") return yield* Effect.fail(dismissalOf(draining))
    const failure = failureOf(ended.message)
    return yield* Effect.fail(failure === "over_budget" ? yield* overBudget : failure)
  })

  /** Waits for the first text of a streamed answer, or for the end of a whole one. */
  const awaitAnswer = ({ feed, stream }: Running) => {
    const wait =
      feed instanceof CompletionFeed
        ? Effect.asVoid(Effect.timeoutOption(readable(stream), `${firstTextSeconds} seconds`))
        : closed(stream)
    const disconnected = Effect.as(clientDisconnected, "disconnected" as const)
    return withoutSlot(Effect.raceFirst(Effect.as(wait, "answered" as const), disconnected), {
      onFull: Effect.fail(new StreamsBusy({ retryAfter: 1 }))
    }).pipe(Effect.onError(() => Effect.sync(() => stream.destroy())))
  }

  /**
   * The answer to a running request: the whole reply, or a stream that has begun; undefined when the client has disconnected.
   * A failure before the first text is a refusal.
   */
  const answer = Effect.fn("Completions.answer")(function* (running: Running) {
    const { feed, stream } = running
    const waited = yield* awaitAnswer(running)
    if (waited === "disconnected") {
      stream.destroy()
      return undefined
    }
    if (feed.ended !== undefined) {
      if (feed instanceof WholeFeed && feed.ended !== "dismissed") return { message: feed.ended.message }
      stream.destroy()
      return yield* refuse(feed.ended)
    }
    if (feed instanceof WholeFeed) return undefined
    feed.begin()
    stream.wake()
    return { stream }
  })

  return { answer, refuse }
})
