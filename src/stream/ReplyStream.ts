import { Context, Effect, Layer } from "effect"
import type { CurrentSession, UserId } from "../api/auth/User.ts"
import type { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { StreamsBusy, TooManyStreams } from "../api/chat/StreamErrors.ts"
import { Sessions } from "../auth/Sessions.ts"
import { Messages, type MessageState } from "../chat/Messages.ts"
import { Notifications } from "../database/Notifications.ts"
import { Draining } from "../ops/Draining.ts"
import { observedGauge } from "../ops/Metrics.ts"
import { DeltaLog } from "./DeltaLog.ts"
import type { EventStream } from "./EventStream.ts"
import { eventsFrom, isFullyRead, type Position, type StreamView } from "./ReplyFeed.ts"
import { ReplyReader } from "./ReplyReader.ts"

/** Streams that a user, and all users, may have open in one process. */
const maximumOfUser = 5
const maximumOfProcess = 5_000

/** Readers under a key: a user, a reply, a room. */
class ReaderIndex {
  private readonly sets = new Map<string, Set<ReplyReader>>()

  get(key: string): ReadonlySet<ReplyReader> {
    return this.sets.get(key) ?? new Set()
  }

  add(key: string, reader: ReplyReader): void {
    this.sets.set(key, (this.sets.get(key) ?? new Set()).add(reader))
  }

  delete(key: string, reader: ReplyReader): void {
    const set = this.sets.get(key)
    set?.delete(reader)
    if (set?.size === 0) this.sets.delete(key)
  }
}

type Reading = Pick<CurrentSession, "userId" | "sessionId">

/** Streams replies while they are written, to clients of any process. */
export class ReplyStream extends Context.Service<
  ReplyStream,
  {
    /**
     * The reply's events after a position; undefined when the reply is finished and the client has all of it. The stream
     * also ends when the session does; the client's reconnect is then 401.
     */
    readonly open: (
      session: Reading,
      roomId: ChatroomId,
      id: MessageId,
      position: Position | undefined
    ) => Effect.Effect<EventStream | undefined, ChatroomNotFound | MessageNotFound | TooManyStreams | StreamsBusy>
    /** The reply from its start, in another form than the API's own events; it ends as `open`'s stream does. */
    readonly openAs: (
      session: Reading,
      roomId: ChatroomId,
      id: MessageId,
      viewOf: (reply: Message) => StreamView
    ) => Effect.Effect<EventStream, ChatroomNotFound | MessageNotFound | TooManyStreams | StreamsBusy>
    /** Fails when another stream of the user would be refused now. */
    readonly checkCapacity: (userId: UserId) => Effect.Effect<void, TooManyStreams | StreamsBusy>
    /** The reply from its start, in the form of the view. The caller bounds how many of these there are. */
    readonly follow: (
      session: Reading,
      roomId: ChatroomId,
      id: MessageId,
      view: StreamView
    ) => Effect.Effect<EventStream, ChatroomNotFound | MessageNotFound>
  }
>()("chat-backend/stream/ReplyStream") {
  static readonly layer = Layer.effect(
    ReplyStream,
    Effect.gen(function* () {
      const log = yield* DeltaLog
      const messages = yield* Messages
      const notifications = yield* Notifications
      const draining = yield* Draining
      const sessions = yield* Sessions
      const run = Effect.runForkWith(yield* Effect.context())
      const readers = new Set<ReplyReader>()
      yield* observedGauge("chat_streams_open", "Replies being watched in this process.", () => readers.size)
      const byUser = new ReaderIndex()
      const byReply = new ReaderIndex()
      const byRoom = new ReaderIndex()

      const refresh = (replyId: string) => {
        for (const reader of byReply.get(replyId)) reader.refresh()
      }
      yield* notifications.onKind("reply", refresh)
      yield* notifications.onKind("attempt", refresh)
      yield* notifications.onKind("title", (roomId) => {
        for (const reader of byRoom.get(roomId)) reader.refresh()
      })
      const dismissAll = Effect.sync(() => {
        for (const reader of readers) reader.drain()
      })
      yield* draining.begun.pipe(Effect.andThen(dismissAll), Effect.forkScoped)

      const checkCapacity: ReplyStream["Service"]["checkCapacity"] = Effect.fnUntraced(function* (userId) {
        if (byUser.get(userId).size >= maximumOfUser) return yield* new TooManyStreams({ retryAfter: 1 })
        if (readers.size >= maximumOfProcess) return yield* new StreamsBusy({ retryAfter: 5 })
      })

      const start = Effect.fnUntraced(function* (
        { sessionId, userId }: Reading,
        roomId: ChatroomId,
        state: MessageState,
        view: StreamView,
        onClose: () => void = () => {}
      ) {
        const { id } = state.message
        const source = {
          readState: messages.state(userId, roomId, id),
          readStored: (attempt: number) => log.stored(userId, id, attempt),
          live: log.live,
          subscribe: log.subscribe,
          isNotified: notifications.connected,
          run
        }
        const reader = new ReplyReader(source, state, view, (closed) => {
          readers.delete(closed)
          byReply.delete(id, closed)
          byRoom.delete(roomId, closed)
          watch.interruptUnsafe()
          onClose()
        })
        const watch = run(Effect.map(sessions.ended(userId, sessionId), reader.stream.dismiss))
        readers.add(reader)
        byReply.add(id, reader)
        byRoom.add(roomId, reader)
        if (draining.isDraining()) reader.drain()
        return reader
      })

      /** A stream that counts among those of its user. */
      const startCounted = Effect.fnUntraced(function* (
        session: Reading,
        roomId: ChatroomId,
        state: MessageState,
        view: StreamView
      ) {
        yield* checkCapacity(session.userId)
        const reader = yield* start(session, roomId, state, view, () => byUser.delete(session.userId, reader))
        byUser.add(session.userId, reader)
        return reader.stream
      })

      const open: ReplyStream["Service"]["open"] = Effect.fn("ReplyStream.open")(function* (session, roomId, id, position) {
        const state = yield* messages.state(session.userId, roomId, id)
        if (hasEnded(state.message) && position !== undefined && isFullyRead(state.message, position)) return undefined
        return yield* startCounted(session, roomId, state, eventsFrom(position))
      })

      const openAs: ReplyStream["Service"]["openAs"] = Effect.fn("ReplyStream.openAs")(function* (session, roomId, id, viewOf) {
        const state = yield* messages.state(session.userId, roomId, id)
        return yield* startCounted(session, roomId, state, viewOf(state.message))
      })

      const follow: ReplyStream["Service"]["follow"] = Effect.fn("ReplyStream.follow")(function* (session, roomId, id, view) {
        const state = yield* messages.state(session.userId, roomId, id)
        return (yield* start(session, roomId, state, view)).stream
      })

      return ReplyStream.of({ open, openAs, checkCapacity, follow })
    })
  )
}
