import { Clock, Context, Effect, Layer } from "effect"
import type { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { Messages } from "../chat/Messages.ts"
import type { UserId } from "../api/auth/User.ts"
import { Notifications } from "../database/Notifications.ts"
import { EventStream, retry } from "./EventStream.ts"
import { Draining } from "../ops/Draining.ts"
import { isFullyRead, type Position, ReplyFeed } from "./ReplyFeed.ts"
import { StreamsBusy, TooManyStreams } from "../api/chat/StreamErrors.ts"
import { DeltaLog } from "./DeltaLog.ts"
import { iso } from "../api/Schemas.ts"

/** Streams a user, and a process, may have open at once. */
const streamsOfUser = 5
const streamsOfProcess = 5_000
/** Milliseconds of silence after which a reply is looked at again, should the news of it have been lost. */
const silenceMillis = 5_000
const recheckMillis = 2_000
/** Between two tries to fetch a missing piece of text: segments are stored once a second. */
const healMillis = 300

/** Replies as they are written, to clients of any process: from memory where they are made, else from the log. */
export class ReplyStream extends Context.Service<
  ReplyStream,
  {
    /** The reply's events from a position on; nothing when it is finished and fully read. */
    readonly open: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId,
      position: Position | undefined
    ) => Effect.Effect<EventStream | undefined, ChatroomNotFound | MessageNotFound | TooManyStreams | StreamsBusy>
    /** Streams open in this process. */
    readonly count: () => number
  }
>()("chat-backend/stream/ReplyStream") {
  static readonly layer = Layer.effect(
    ReplyStream,
    Effect.gen(function* () {
      const log = yield* DeltaLog
      const messages = yield* Messages
      const notifications = yield* Notifications
      const draining = yield* Draining
      const streams = new Set<EventStream>()
      const byUser = new Map<string, number>()
      /** What wakes the readers of a reply when there is news of it. */
      const readers = new Map<string, Set<() => void>>()
      const run = Effect.runForkWith(yield* Effect.context())

      yield* notifications.onKind("reply", (replyId) => {
        for (const refresh of readers.get(replyId) ?? []) refresh()
      })
      yield* draining.begun.pipe(
        Effect.andThen(
          Effect.sync(() => {
            for (const stream of streams) stream.dismiss()
          })
        ),
        Effect.forkScoped
      )

      const take = (userId: string) => {
        const open = byUser.get(userId) ?? 0
        if (open >= streamsOfUser) return new TooManyStreams({ retryAfter: 1 })
        if (streams.size >= streamsOfProcess) return new StreamsBusy({ retryAfter: 5 })
        byUser.set(userId, open + 1)
        return undefined
      }
      const release = (userId: string) => {
        const open = (byUser.get(userId) ?? 1) - 1
        if (open === 0) byUser.delete(userId)
        else byUser.set(userId, open)
      }

      /** Keeps one reader told: of new text at once, of the message's state when there is news, of gaps by fetching. */
      const attach = (
        userId: UserId,
        roomId: ChatroomId,
        first: Message,
        firstRetryAt: string | null,
        position: Position | undefined
      ) => {
        const feed = new ReplyFeed(position)
        let message = first
        let retryAt = firstRetryAt
        let busy = false
        let again = false
        let heardAt = performance.now()

        /** One look at the database at a time; news that comes during it is looked at after it. */
        const look = (work: Effect.Effect<unknown, unknown>) => {
          if (busy) return void (again = true)
          busy = true
          run(
            work.pipe(
              Effect.catchCause((cause) => Effect.logWarning("A stream could not look at its reply", cause)),
              Effect.ensuring(
                Effect.sync(() => {
                  busy = false
                  if (again && !stream.destroyed) {
                    again = false
                    refresh()
                  }
                })
              )
            )
          )
        }
        /** With its room, which cancels it: the row is gone, so its end is told from what is known here. */
        const deleted = (now: number) => {
          if (hasEnded(message)) return stream.wake()
          const live = log.live.get(first.id)
          const known = live?.start === 0 ? { attempt: live.attempt, content: live.text } : {}
          message = { ...message, ...known, status: "cancelled", completedAt: iso(new Date(now)) }
          stream.wake()
        }
        const refresh = () =>
          look(
            messages.state(userId, roomId, first.id).pipe(
              Effect.tap((state) =>
                Effect.sync(() => {
                  message = state.message
                  retryAt = state.retryAt
                  stream.wake()
                })
              ),
              Effect.catchTag(["MessageNotFound", "ChatroomNotFound"], () => Effect.map(Clock.currentTimeMillis, deleted))
            )
          )
        const heal = () =>
          look(
            Effect.gen(function* () {
              const attempt = Math.max(log.live.get(first.id)?.attempt ?? 0, message.attempt)
              const text = yield* log.stored(userId, first.id, attempt)
              if (text !== "") log.live.apply({ replyId: first.id, attempt, offset: 0, text })
              yield* Effect.sleep(healMillis)
              stream.wake()
            })
          )

        const stream = new EventStream(
          () => {
            const progress = feed.next(log.live.get(first.id), message, retryAt)
            if (progress.text !== "") heardAt = performance.now()
            if (progress.gap && !busy) heal()
            return progress
          },
          () => {
            clearInterval(timer)
            unfollow()
            unwant()
            const refreshes = readers.get(first.id)
            refreshes?.delete(refresh)
            if (refreshes?.size === 0) readers.delete(first.id)
            streams.delete(stream)
            release(userId)
          }
        )
        const unwant = log.subscribe()
        const unfollow = log.live.follow(first.id, stream.wake)
        readers.set(first.id, (readers.get(first.id) ?? new Set()).add(refresh))
        const timer = setInterval(() => {
          if (!notifications.connected() || performance.now() - heardAt > silenceMillis) refresh()
        }, recheckMillis)
        timer.unref()
        streams.add(stream)
        stream.push(retry(1_000))
        // What was written before the follower was there is in the segments; what changed since the read, in the row.
        if (!hasEnded(first)) {
          heal()
          refresh()
        }
        if (draining.isDraining()) stream.dismiss()
        return stream
      }

      const open: ReplyStream["Service"]["open"] = Effect.fn("ReplyStream.open")(function* (userId, roomId, id, position) {
        const { message, retryAt } = yield* messages.state(userId, roomId, id)
        if (hasEnded(message) && position !== undefined && isFullyRead(message, position)) return undefined
        const refusal = take(userId)
        if (refusal !== undefined) return yield* refusal
        return attach(userId, roomId, message, retryAt, position)
      })

      return ReplyStream.of({ open, count: () => streams.size })
    })
  )
}
