import { Clock, Effect, Fiber } from "effect"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { Notifications } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { Draining } from "../ops/Draining.ts"
import { clientDisconnected, SessionEnded, withoutSlot } from "../ops/RequestSlot.ts"

/** Milliseconds after which a waiting request reads again, because a notification can be lost. */
const recheckEvery = 2_000
/** Milliseconds a waiting request may still wait when its process starts to drain. */
const drainingWait = 8_000
/** Waits of one user in one process; a further one fails. */
const maximumWaits = 5

/** Reads a message as it is now. */
type Read = (userId: UserId, roomId: ChatroomId, id: MessageId) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>

/** Makes the function that waits for the end of a message: it returns it as it ended, or as it is after some seconds. */
export const makeWaitForEnd = Effect.fnUntraced(function* (read: Read) {
  const notifications = yield* Notifications
  const draining = yield* Draining
  const waits = makeBulkhead({ permits: maximumWaits, waiting: 0, maxWait: 0 })

  const waitForEnd = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, id: MessageId, seconds: number) {
    let deadline = (yield* Clock.currentTimeMillis) + seconds * 1000
    while (true) {
      // Listens before it reads, so that no end is missed between the two.
      const notified = yield* Effect.forkChild(notifications.once(topicOf("reply", id)), { startImmediately: true })
      const message = yield* read(userId, roomId, id)
      const now = yield* Clock.currentTimeMillis
      // A draining process answers soon with the current state; the client can ask another process.
      if (draining.isDraining()) deadline = Math.min(deadline, now + drainingWait - recheckEvery)
      const left = deadline - now
      if (!hasEnded(message) && left > 0) {
        const change = Effect.timeoutOption(Fiber.join(notified), Math.min(left, recheckEvery))
        const disconnected = Effect.as(clientDisconnected, undefined)
        const sessionEnded = Effect.as(Effect.flatten(SessionEnded), undefined)
        const waited = yield* withoutSlot(Effect.raceAllFirst([change, disconnected, sessionEnded]), {
          onFull: Effect.undefined
        })
        // Too many requests wait, the client has disconnected, or its session has ended: return the current state, as on timeout.
        if (waited === undefined) deadline = now
      }
      yield* Fiber.interrupt(notified)
      if (hasEnded(message) || deadline <= now) return message
    }
  })

  return (userId: UserId, roomId: ChatroomId, id: MessageId, seconds: number) =>
    waits.run(userId, waitForEnd(userId, roomId, id, seconds))
})
