import { createHash } from "node:crypto"
import { promisify } from "node:util"
import { gzip as gzipCallback } from "node:zlib"
import { Context, Effect, Layer } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { Notifications } from "../database/Notifications.ts"
import { type Cached, makeNotifiedCache } from "../database/NotifiedCache.ts"
import { topicOf } from "../database/Topics.ts"
import { Chatrooms, type ListPosition, type ListQuery, positionOf } from "./Chatrooms.ts"

/** The cache's limits: bytes of all pages, and milliseconds a page is kept. */
const maximumBytes = 64 * 1024 * 1024
const timeToLive = 5 * 60_000
/** Bytes that a page takes besides its body. */
const overhead = 500
/** Bytes from which the server sends a user's page compressed. */
const minimumCompressed = 4_096

/** A page as it is sent. */
export interface EncodedPage {
  readonly body: Uint8Array
  /** RFC 9110: a strong validator, the hash of the body. */
  readonly etag: string
  readonly next: ListPosition | null
  /** The body as gzip, of a page that is kept and is large enough. */
  readonly gzipped?: Uint8Array | undefined
}

const gzip = promisify(gzipCallback)

/** A page that is kept is compressed once. */
const withGzip = (page: EncodedPage): Effect.Effect<EncodedPage> =>
  page.body.length < minimumCompressed
    ? Effect.succeed(page)
    : Effect.map(
        Effect.promise(() => gzip(page.body, { level: 1 })),
        (gzipped) => ({ ...page, gzipped })
      )

/** A user's first page in every size that was asked for. */
interface FirstPages {
  readonly bySize: Map<number, EncodedPage>
}

const encoder = new TextEncoder()

/**
 * The list of rooms as encoded bytes. The first page is cached by user, because it is read far more often than it
 * changes; a change of a room invalidates it (topic `chatrooms`).
 */
export class ChatroomList extends Context.Service<
  ChatroomList,
  {
    /** `toCursor` makes the opaque cursor of a position. */
    readonly page: (
      userId: UserId,
      query: ListQuery,
      toCursor: (position: ListPosition) => string
    ) => Effect.Effect<Cached<EncodedPage>>
    /** Read your writes: call it after the commit of a change to the user's rooms. Other processes are notified by the change. */
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
        size: ({ bySize }) =>
          [...bySize.values()].reduce((sum, { body, gzipped }) => sum + body.length + (gzipped?.length ?? 0) + overhead, 0),
        ttl: timeToLive
      })

      const load = Effect.fnUntraced(function* (userId: UserId, query: ListQuery, toCursor: (position: ListPosition) => string) {
        const { hasMore, rooms } = yield* chatrooms.list(userId, query)
        const last = rooms.at(-1)
        const next = hasMore && last !== undefined ? positionOf(last) : null
        const body = encoder.encode(JSON.stringify({ data: rooms, hasMore, nextCursor: next === null ? null : toCursor(next) }))
        return { body, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`, next }
      })

      const page: ChatroomList["Service"]["page"] = (userId, query, toCursor) => {
        const isFirst = query.after === undefined && query.search === undefined && !query.archived
        const loaded = isFirst ? Effect.flatMap(load(userId, query, toCursor), withGzip) : load(userId, query, toCursor)
        if (!isFirst) return Effect.map(loaded, (value) => ({ value, from: "bypass" as const }))
        const hit = cache.peek(userId)?.bySize.get(query.limit)
        if (hit !== undefined) return Effect.succeed({ value: hit, from: "hit" as const })
        // All sizes are one entry, so that a change drops them together.
        const fill = Effect.map(loaded, (value) => ({
          bySize: new Map([...(cache.peek(userId)?.bySize ?? []), [query.limit, value]])
        }))
        return Effect.flatMap(cache.fill(userId, fill), ({ from, value }) => {
          const page = value.bySize.get(query.limit)
          return page === undefined ? Effect.die("a page that was just cached is missing") : Effect.succeed({ value: page, from })
        })
      }

      return ChatroomList.of({ page, forget: (userId) => notifications.publishLocal(topicOf("chatrooms", userId)) })
    })
  )
}
