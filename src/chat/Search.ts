import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import type { FoundMessage } from "../api/chat/Message.ts"
import { type BulkheadFull, makeBulkhead, untilDisconnected } from "../ops/Bulkhead.ts"
import { Replica } from "../database/Replica.ts"
import { contains } from "./TextMatch.ts"
import { pageOf, readableContent, toMessage } from "./MessageRow.ts"

/** Characters of a snippet before and after the words. */
const around = 60

/** How long a search whose client has gone keeps its place among the user's searches. */
const abandonedPause = "500 millis"

/** Messages, and bytes of text, that one search reads. Where it stops, the next page goes on. */
const scannedMessages = 10_000
const scannedBytes = 8 * 1_048_576

/** The index, or the one before it if it would split a surrogate pair. */
const characterStart = (text: string, at: number): number => (/^[\udc00-\udfff]$/.test(text.charAt(at)) ? at - 1 : at)

/** The words with the text around them; an ellipsis marks an end that was cut. */
export const snippet = (content: string, words: string): string => {
  const [text, wanted] = [content.normalize("NFC"), words.normalize("NFC")]
  const at = Math.max(0, text.toLowerCase().indexOf(wanted.toLowerCase()))
  const from = characterStart(text, Math.max(0, at - around))
  const to = characterStart(text, Math.min(text.length, at + wanted.length + around))
  return `${from > 0 ? "…" : ""}${text.slice(from, to)}${to < text.length ? "…" : ""}`
}

/**
 * Finds words in a user's own messages, whatever their case and their Unicode composition. The primary key leads to the
 * user's rows, of which one search reads a bounded number.
 */
export class Search extends Context.Service<
  Search,
  {
    /**
     * Newest first; with `before`, only older messages than that one. The next page follows `lastId`: a page can have
     * fewer messages than its limit, or none, before the last page.
     */
    readonly find: (
      userId: UserId,
      query: { readonly words: string; readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<
      { readonly found: Array<FoundMessage>; readonly hasMore: boolean; readonly lastId: string | undefined },
      BulkheadFull
    >
  }
>()("chat-backend/chat/Search") {
  static readonly layer = Layer.effect(
    Search,
    Effect.gen(function* () {
      const replica = yield* Replica
      const sql = yield* Effect.flatMap(SqlClient.SqlClient, replica.over)
      const bulkhead = makeBulkhead({ permits: 2, waiting: 20, maxWait: "3 seconds" })
      /** Messages of chats: those of completions are in no list. */
      const inChats = (userId: UserId) =>
        sql`user_id = ${userId} and chatroom_id not in (select id from chatrooms where user_id = ${userId} and kind = 'completion')`
      const olderThan = (before: string | undefined) => (before === undefined ? sql`true` : sql`id < ${before}::uuid`)

      /** The message at which a search stops, and whether there are older ones. Reads no text. */
      const endOfScan = Effect.fnUntraced(function* (userId: UserId, before: string | undefined) {
        const [end] = yield* sql<{ readonly lastId: string; readonly stopped: boolean }>`
          with sizes as (
            select id, octet_length(content) as size from messages where ${inChats(userId)} and ${olderThan(before)}
            order by id desc limit ${scannedMessages + 1}
          ), running as (
            select id, row_number() over newest as number,
              sum(size) over (newest rows between unbounded preceding and 1 preceding) as bytes_before
            from sizes window newest as (order by id desc)
          ), scanned as (
            select id from running where number <= ${scannedMessages} and coalesce(bytes_before, 0) < ${scannedBytes}
          )
          select id as last_id, (select count(*) from sizes) > (select count(*) from scanned) as stopped
          from scanned order by id limit 1
        `
        return end
      })

      const find: Search["Service"]["find"] = Effect.fn("Search.find")(function* (userId, { before, limit, words }) {
        const end = yield* endOfScan(userId, before)
        if (end === undefined) return { found: [], hasMore: false, lastId: undefined }
        const matching = sql`
          select * from messages
          where ${inChats(userId)} and ${olderThan(before)} and id >= ${end.lastId}::uuid
            and ${contains(sql, sql.literal(readableContent), words)}
          order by id desc limit ${limit + 1}
        `
        const rows = yield* pageOf(sql, matching, "id desc")
        const found = rows.slice(0, limit).map((row) => ({ ...toMessage(row), snippet: snippet(row.content, words) }))
        const isCut = (rows[0]?.candidates ?? 0) > found.length
        return { found, hasMore: isCut || end.stopped, lastId: isCut ? found.at(-1)?.id : end.lastId }
      }, Effect.orDie)

      // Otherwise a client that leaves at once and asks again would keep the database busier than one that waits.
      const abandonable = (userId: UserId, query: Parameters<typeof find>[1]) =>
        Effect.onInterrupt(untilDisconnected(find(userId, query)), () => Effect.sleep(abandonedPause))

      return Search.of({ find: (userId, query) => bulkhead.run(userId, abandonable(userId, query)) })
    })
  )
}
