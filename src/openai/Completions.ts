import { createHash } from "node:crypto"
import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { Unauthenticated } from "../api/auth/AuthErrors.ts"
import { BudgetExceeded } from "../api/chat/ChatErrors.ts"
import { StreamsBusy } from "../api/chat/StreamErrors.ts"
import { FileId } from "../api/files/File.ts"
import type { Message } from "../api/chat/Message.ts"
import type { CreateCompletion } from "../api/openai/Completion.ts"
import { CompletionFailed, ModelNotFound } from "../api/openai/CompletionErrors.ts"
import { Unavailable } from "../api/Problems.ts"
import { isoText } from "../api/Schemas.ts"
import { secondsUntil } from "../chat/Quota.ts"
import { Sending, type Sent } from "../chat/Sending.ts"
import { AppConfig } from "../config/Settings.ts"
import { Uploads } from "../files/Uploads.ts"
import { UserFiles } from "../files/UserFiles.ts"
import { Models } from "../models/Models.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { Draining } from "../ops/Draining.ts"
import { clientDisconnected, withoutSlot } from "../ops/RequestSlot.ts"
import { Cancellation } from "../replies/Cancellation.ts"
import { estimateTokens } from "../replies/Conversation.ts"
import type { EventStream } from "../stream/EventStream.ts"
import type { StreamView } from "../stream/ReplyFeed.ts"
import { ReplyStream } from "../stream/ReplyStream.ts"
import { CompletionFeed, type Ended, WholeFeed } from "./CompletionFeed.ts"
import { failureOf } from "./Ending.ts"
import { errorOf } from "./ErrorResponse.ts"
import { checkParameters, invalid, paramOfSetting, settingsOf } from "./Parameters.ts"
import { type MessageFile, type Turn, turnsOf } from "./Turns.ts"

/** Completions that a user, and all users, may have in progress in one process. */
const maximumOfUser = 20
const maximumOfProcess = 4_000
/** Seconds in which a failure of a streamed answer is still a refusal with a status, unless text comes before. */
const firstTextSeconds = 10
/** Milliseconds that completions go on in a process that drains: their clients cannot reconnect to another one. */
const lingerMillis = 8_000

/** An accepted request, whose answer is being made. */
export interface Running {
  readonly sent: Sent
  readonly head: { readonly id: string; readonly created: number; readonly model: string }
  readonly stream: EventStream
  readonly feed: CompletionFeed | WholeFeed
}

/** Answers requests of OpenAI's API: each is a question with a history of its own, and goes the way of every question. */
export class Completions extends Context.Service<Completions, Effect.Success<typeof make>>()("chat-backend/openai/Completions") {
  static readonly layer = Layer.effect(
    Completions,
    Effect.suspend(() => make)
  )
}

const idOf = (reply: Message): string => `chatcmpl-${reply.id}`

const hashOf = (request: CreateCompletion): string => createHash("sha256").update(JSON.stringify(request)).digest("base64url")

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

const make = Effect.gen(function* () {
  const sending = yield* Sending
  const models = yield* Models
  const uploads = yield* Uploads
  const userFiles = yield* UserFiles
  const replyStream = yield* ReplyStream
  const cancellation = yield* Cancellation
  const draining = yield* Draining
  const { frontEnd } = yield* AppConfig
  const run = Effect.runForkWith(yield* Effect.context())
  const ofUser = makeBulkhead({ permits: maximumOfUser, waiting: 0, maxWait: 0 })
  const ofProcess = makeBulkhead({ permits: maximumOfProcess, waiting: 0, maxWait: 0 })

  /** The models that a user may choose now. */
  const available = Effect.fn("Completions.available")(function* ({ tier }: Pick<CurrentSession, "tier">) {
    return (yield* models.list(tier)).filter((model) => model.available)
  })

  /** A model that is not in the user's plan is found: its refusal says where to upgrade. */
  const modelOf = Effect.fnUntraced(function* (id: string, { tier }: CurrentSession) {
    const model = (yield* models.list(tier)).find((known) => known.id === id)
    const isRetired = model?.retiresAt != null && Date.parse(model.retiresAt) <= (yield* Clock.currentTimeMillis)
    if (model === undefined || isRetired) return yield* ModelNotFound.of(id)
    return model
  })

  const keepFile = Effect.fnUntraced(function* (user: CurrentSession, file: MessageFile) {
    const { param } = file
    if (!("id" in file)) {
      return yield* uploads.store(user, file).pipe(
        Effect.catchTags({
          EmptyFile: () => Effect.fail(invalid(param, "is an empty file")),
          FileUnreadable: ({ detail }) => Effect.fail(invalid(param, detail)),
          FileTooLarge: ({ detail }) => Effect.fail(invalid(param, detail)),
          // No key is sent with it.
          IdempotencyKeyReused: Effect.die
        })
      )
    }
    const unknown = () => Effect.fail(invalid(param, "is not one of the user's files"))
    return yield* FileId.makeEffect(file.id).pipe(
      Effect.flatMap((id) => userFiles.get(user.userId, id)),
      Effect.catch(unknown)
    )
  })

  /** Stores the files of the conversation and counts its tokens. */
  const given = Effect.fnUntraced(function* (user: CurrentSession, turns: ReadonlyArray<Turn>) {
    const files = yield* Effect.forEach(turns, (turn) => Effect.forEach(turn.files, (file) => keepFile(user, file)))
    const attachments = new Map(files.flat().map((file) => [file.id, file]))
    const fileTokens = [...attachments.values()].reduce((sum, { tokens }) => sum + tokens, 0)
    return {
      turns: turns.map(({ role, text }, index) => {
        const ids = (files[index] ?? []).map(({ id }) => id)
        return { role, text, ...(ids.length === 0 ? {} : { files: ids }) }
      }),
      attachments: [...attachments.keys()],
      tokens: turns.reduce((sum, { text }) => sum + estimateTokens(text), fileTokens)
    }
  })

  const accept = Effect.fnUntraced(function* (user: CurrentSession, request: CreateCompletion, key: string | undefined) {
    yield* checkParameters(request)
    const model = yield* modelOf(request.model, user)
    const { before, question, systemPrompt } = yield* turnsOf(request)
    const settings = yield* settingsOf(request, systemPrompt, model)
    const { attachments, tokens, turns } = yield* given(user, [...before, question])
    const completion = {
      content: question.text,
      input: { turns: turns.slice(0, -1), files: turns.at(-1)?.files ?? [] },
      tokens: tokens + estimateTokens(systemPrompt ?? ""),
      settings,
      attachments,
      idempotencyKey: key,
      hash: hashOf(request)
    }
    return yield* sending.complete(user, completion).pipe(
      Effect.catchTags({
        ValidationFailed: ({ errors: [fault] }) =>
          Effect.fail(invalid(paramOfSetting(fault?.path ?? ""), fault?.message ?? "is not valid")),
        ToolNotInPlan: Effect.die
      })
    )
  })

  const dismissed = () =>
    draining.isDraining() ? Unavailable.because("unavailable") : Unauthenticated.because("session_revoked")

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
    const view: StreamView = { opening: "", feed, dismissal: () => feed.dismiss(errorOf(dismissed())), lingerMillis }
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

  const overBudget = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const resetsAt = isoText(new Date(now + 86_400_000).toISOString().slice(0, 10))
    return new BudgetExceeded({ resetsAt, upgradeUrl: frontEnd.upgrade, retryAfter: secondsUntil(resetsAt, now) })
  })

  const refuse = Effect.fnUntraced(function* (ended: Ended) {
    if (ended === "dismissed") return yield* Effect.fail(dismissed())
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
