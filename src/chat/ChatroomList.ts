import { createHash } from "node:crypto"
import { promisify } from "node:util"
import { gzip as gzipCallback } from "node:zlib"
import { Context, Deferred, Effect, Layer } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { Notifications } from "../database/Notifications.ts"
import { type Cached, makeNotifiedCache } from "../database/NotifiedCache.ts"
import { topicOf } from "../database/Topics.ts"
import { cacheLookups } from "../ops/Metrics.ts"
import { Chatrooms, type ListPosition, type ListQuery, positionOf } from "./Chatrooms.ts"

/** The cache's limits: bytes of all pages, and milliseconds a page is kept. */
const maximumBytes = 64 * 1024 * 1024
const timeToLive = 5 * 60_000
/** Bytes of one user's pages, so that no user evicts the pages of others. */
const maximumBytesOfUser = 1024 * 1024
/** Bytes that a page takes besides its body. */
const overhead = 500
/** Bytes from which a page that is kept is sent compressed. */
const minimumCompressed = 1_024

/** A page as it is sent. */
export interface EncodedPage {
  readonly body: Uint8Array
  /** RFC 9110: a strong validator, the hash of the body. */
  readonly etag: string
  readonly nextCursor: string | null
  /** The body as gzip, of a page that is kept and is large enough. */
  readonly gzipped?: Uint8Array | undefined
}

const gzip = promisify(gzipCallback)

/** A page that is kept is compressed once. */
const withGzip = Effect.fnUntraced(function* (page: EncodedPage) {
  if (page.body.length < minimumCompressed) return page
  const gzipped = yield* Effect.promise(() => gzip(page.body, { level: 1 }))
  return { ...page, gzipped }
})

/** A user's first page in the sizes that were asked for. */
interface FirstPages {
  readonly bySize: ReadonlyMap<number, EncodedPage>
}

const bytesOf = (pages: Iterable<EncodedPage>): number =>
  [...pages].reduce((sum, { body, gzipped }) => sum + body.length + (gzipped?.length ?? 0) + overhead, 0)

/** The page with the user's other pages, as many as the user may keep: those asked for last. */
const withPage = (pages: FirstPages | undefined, size: number, page: EncodedPage): FirstPages => {
  const bySize = new Map(pages?.bySize)
  bySize.delete(size)
  bySize.set(size, page)
  for (const oldest of bySize.keys()) {
    if (bytesOf(bySize.values()) <= maximumBytesOfUser) break
    bySize.delete(oldest)
  }
  return { bySize }
}

const encoder = new TextEncoder()

/**
 * The list of rooms as encoded bytes. The first page is cached by user, because it is read far more often than it
 * changes; a change of a room invalidates it (topic `chatrooms`).
 */
export class ChatroomList extends Context.Service<
  ChatroomList,
  {
    /** The first page of this size, when it is in memory. */
    readonly peek: (userId: UserId, limit: number) => EncodedPage | undefined
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
        size: ({ bySize }) => bytesOf(bySize.values()),
        ttl: timeToLive
      })

      const load = Effect.fnUntraced(function* (userId: UserId, query: ListQuery, toCursor: (position: ListPosition) => string) {
        const { hasMore, rooms } = yield* chatrooms.list(userId, query)
        const last = rooms.at(-1)
        const nextCursor = hasMore && last !== undefined ? toCursor(positionOf(last)) : null
        const body = encoder.encode(JSON.stringify({ data: rooms, hasMore, nextCursor }))
        return { body, etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`, nextCursor }
      })

      const lookups = yield* cacheLookups("chatrooms")
      const peek = (userId: UserId, limit: number) => {
        const found = cache.peek(userId)?.bySize.get(limit)
        if (found !== undefined) lookups.hit.add(1)
        return found
      }

      const page: ChatroomList["Service"]["page"] = (userId, query, toCursor) => {
        const isFirst = query.after === undefined && query.search === undefined && !query.archived
        const loaded: Effect.Effect<EncodedPage> = isFirst
          ? Effect.flatMap(load(userId, query, toCursor), withGzip)
          : load(userId, query, toCursor)
        if (!isFirst) return Effect.map(loaded, (value) => ({ value, from: "bypass" as const }))
        const hit = peek(userId, query.limit)
        if (hit !== undefined) return Effect.succeed({ value: hit, from: "hit" as const })
        lookups.miss.add(1)
        return Effect.gen(function* () {
          const loading = yield* Deferred.make<EncodedPage>()
          // All sizes are one entry, so that a change drops them together.
          const fill = loaded.pipe(
            Effect.tap((value) => Deferred.succeed(loading, value)),
            Effect.map((value) => withPage(cache.peek(userId), query.limit, value))
          )
          const { from } = yield* cache.fill(userId, fill)
          return { value: yield* Deferred.await(loading), from }
        })
      }

      return ChatroomList.of({ peek, page, forget: (userId) => notifications.publishLocal(topicOf("chatrooms", userId)) })
    })
  )
}
