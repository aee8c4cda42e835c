import { createHash } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { type Cached, makeNotifiedCache } from "../database/NotifiedCache.ts"
import { Notifications } from "../database/Notifications.ts"
import { Chatrooms, type ListPosition, type ListQuery, positionOf } from "./Chatrooms.ts"
import { topicOf } from "../database/Topics.ts"

/** Bytes of first pages kept, and milliseconds one is kept at the most. */
const maximumBytes = 64 * 1024 * 1024
const timeToLive = 5 * 60_000
/** What an entry costs beside its body. */
const overhead = 500

/** A page as it goes out. */
export interface EncodedPage {
  readonly body: Uint8Array
  /** RFC 9110: strong, of the body's bytes. */
  readonly etag: string
  readonly next: ListPosition | null
}

interface FirstPages {
  /** By page size. */
  readonly pages: Map<number, EncodedPage>
}

const encoder = new TextEncoder()

/**
 * The list of rooms as encoded bytes. Every load of a dashboard reads its first page and few change it, so that
 * one is cached, by user; the writers of rooms invalidate it (topic `chatrooms`).
 */
export class ChatroomList extends Context.Service<
  ChatroomList,
  {
    /** `nextCursor` makes the opaque cursor of a position. */
    readonly page: (
      userId: UserId,
      query: ListQuery,
      nextCursor: (position: ListPosition) => string
    ) => Effect.Effect<Cached<EncodedPage>>
    /** Read your writes: to be called when a change of the user's rooms was committed. Other processes hear of it by themselves. */
    readonly forget: (userId: UserId) => void
  }
>()("chat-backend/chat/ChatroomList") {
  static readonly layer = Layer.effect(
    ChatroomList,
    Effect.gen(function* () {
      const chatrooms = yield* Chatrooms
      const notifications = yield* Notifications
      const cache = yield* makeNotifiedCache<FirstPages>({
        notifications,
        kind: "chatrooms",
        maxSize: maximumBytes,
        size: ({ pages }) => [...pages.values()].reduce((sum, { body }) => sum + body.length + overhead, 0),
        ttl: timeToLive
      })

      const load = Effect.fnUntraced(function* (
        userId: UserId,
        query: ListQuery,
        nextCursor: (position: ListPosition) => string
      ) {
        const { hasMore, rooms } = yield* chatrooms.list(userId, query)
        const last = rooms.at(-1)
        const next = hasMore && last !== undefined ? positionOf(last) : null
        const body = encoder.encode(JSON.stringify({ data: rooms, hasMore, nextCursor: next === null ? null : nextCursor(next) }))
        return { body, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`, next }
      })

      const page: ChatroomList["Service"]["page"] = (userId, query, nextCursor) => {
        const loaded = load(userId, query, nextCursor)
        const isFirst = query.after === undefined && query.search === undefined && !query.archived
        if (!isFirst) return Effect.map(loaded, (value) => ({ value, from: "bypass" as const }))
        const hit = cache.peek(userId)?.pages.get(query.limit)
        if (hit !== undefined) return Effect.succeed({ value: hit, from: "hit" as const })
        // Another size of the same list joins those that are kept by then, and is dropped with them.
        const fill = Effect.map(loaded, (value) => ({
          pages: new Map([...(cache.peek(userId)?.pages ?? []), [query.limit, value]])
        }))
        return Effect.flatMap(cache.fill(userId, fill), ({ from, value }) => {
          const page = value.pages.get(query.limit)
          return page === undefined ? Effect.die("a page that was filled is not there") : Effect.succeed({ value: page, from })
        })
      }

      return ChatroomList.of({ page, forget: (userId) => notifications.publishLocal(topicOf("chatrooms", userId)) })
    })
  )
}
