import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import type { Message } from "../api/chat/Message.ts"
import { StreamsBusy } from "../api/chat/StreamErrors.ts"
import type { CreateCompletion } from "../api/openai/Completion.ts"
import { CompletionFailed } from "../api/openai/CompletionErrors.ts"
import type { Sent } from "../chat/Sending.ts"
import { Models } from "../models/Models.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { Draining } from "../ops/Draining.ts"
import { Cancellation } from "../replies/Cancellation.ts"
import type { StreamView } from "../stream/ReplyFeed.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { makeAcceptCompletion } from "./AcceptCompletion.ts"
import { dismissalOf, makeAnswers, type Running } from "./CompletionAnswer.ts"
import { CompletionFeed, WholeFeed } from "./CompletionFeed.ts"
import { errorOf } from "./ErrorResponse.ts"

/** Completions that a user, and all users, may have in progress in one process. */
const maximumOfUser = 20
const maximumOfProcess = 4_000
/** Milliseconds that completions go on in a process that drains: their clients cannot reconnect to another one. */
const lingerMillis = 8_000

/** Answers requests of OpenAI's API: each is a question with a history of its own, and goes the way of every question. */
export class Completions extends Context.Service<Completions, Effect.Success<typeof make>>()("chat-backend/openai/Completions") {
  static readonly layer = Layer.effect(
    Completions,
    Effect.suspend(() => make)
  )
}

const idOf = (reply: Message): string => `chatcmpl-${reply.id}`

const make = Effect.gen(function* () {
  const models = yield* Models
  const accept = yield* makeAcceptCompletion
  const { answer, refuse } = yield* makeAnswers
  const replyStream = yield* ReplyStream
  const cancellation = yield* Cancellation
  const draining = yield* Draining
  const run = Effect.runForkWith(yield* Effect.context())
  const ofUser = makeBulkhead({ permits: maximumOfUser, waiting: 0, maxWait: 0 })
  const ofProcess = makeBulkhead({ permits: maximumOfProcess, waiting: 0, maxWait: 0 })

  /** The models that a user may choose now. */
  const available = Effect.fn("Completions.available")(function* ({ tier }: Pick<CurrentSession, "tier">) {
    return (yield* models.list(tier)).filter((model) => model.available)
  })

  /** Follows the reply. It is cancelled when the stream closes before it has ended, unless a key can ask for it again. */
  const follow = Effect.fnUntraced(function* (
    user: CurrentSession,
    request: CreateCompletion,
    sent: Sent,
    isKeyed: boolean
  ): Effect.fn.Return<Running, CompletionFailed> {
    const { reply } = sent
    const head = { id: idOf(reply), created: Math.floor(Date.parse(reply.createdAt) / 1000), model: request.model }
    const isStreamed = request.stream === true
    const feed = isStreamed ? new CompletionFeed(head, request.stream_options?.include_usage === true) : new WholeFeed()
    const view: StreamView = { opening: "", feed, dismissal: () => feed.dismiss(errorOf(dismissalOf(draining))), lingerMillis }
    const cancel = cancellation.cancel(user.userId, reply.chatroomId, reply.id).pipe(
      // It has ended meanwhile, or its user is deleted.
      Effect.catchTags({
        AlreadyFinished: () => Effect.void,
        ChatroomNotFound: () => Effect.void,
        MessageNotFound: () => Effect.void
      }),
      Effect.catchCause((cause) => Effect.logWarning("A reply that has no reader could not be cancelled", cause))
    )
    const stream = yield* replyStream.follow(user, reply.chatroomId, reply.id, view).pipe(
      // Its user is deleted.
      Effect.catch(() => Effect.fail(new CompletionFailed()))
    )
    stream.once("close", () => {
      if (!feed.hasReplyEnded && !isKeyed) run(cancel)
    })
    return { sent, head, stream, feed }
  })

  /** Accepts a request, and begins to follow its reply. The user's place is given back when the stream is closed. */
  const start = Effect.fn("Completions.start")(function* (
    user: CurrentSession,
    request: CreateCompletion,
    key: string | undefined
  ) {
    const place = yield* Scope.make()
    const taken = Effect.gen(function* () {
      yield* ofUser.acquire(user.userId)
      yield* Effect.catchTag(ofProcess.acquire(""), "BulkheadFull", () => Effect.fail(new StreamsBusy({ retryAfter: 1 })))
      const sent = yield* accept(user, request, key)
      return yield* follow(user, request, sent, key !== undefined)
    })
    const running = yield* taken.pipe(
      Scope.provide(place),
      Effect.onError(() => Scope.close(place, Exit.void))
    )
    running.stream.once("close", () => void run(Scope.close(place, Exit.void)))
    return running
  })

  return { available, start, answer, refuse }
})
