import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import type { FoundMessage } from "../api/chat/Message.ts"
import { columns, type MessageRow, toMessage } from "./MessageRow.ts"

/** Characters of a snippet before and after the words. */
const around = 60

/** The index, or the one before it if it would split a surrogate pair. */
const characterStart = (text: string, at: number): number => (/^[\udc00-\udfff]$/.test(text.charAt(at)) ? at - 1 : at)

/** The words with the text around them; an ellipsis marks an end that was cut. */
export const snippet = (content: string, words: string): string => {
  const at = Math.max(0, content.toLowerCase().indexOf(words.toLowerCase()))
  const from = characterStart(content, Math.max(0, at - around))
  const to = characterStart(content, Math.min(content.length, at + words.length + around))
  return `${from > 0 ? "…" : ""}${content.slice(from, to)}${to < content.length ? "…" : ""}`
}

/** Finds words in a user's own messages. The primary key leads to the user's rows, and each of them is read. */
export class Search extends Context.Service<
  Search,
  {
    /** Newest first; with `before`, only older messages than that one. */
    readonly find: (
      userId: UserId,
      query: { readonly words: string; readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<{ readonly found: Array<FoundMessage>; readonly hasMore: boolean }>
  }
>()("chat-backend/chat/Search") {
  static readonly layer = Layer.effect(
    Search,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const find: Search["Service"]["find"] = Effect.fn("Search.find")(function* (userId, { before, limit, words }) {
        const rows = yield* sql<MessageRow>`
          select ${sql.literal(columns)} from messages
          where ${sql.and([
            sql`user_id = ${userId}`,
            sql`position(lower(${words}) in lower(content)) > 0`,
            ...(before === undefined ? [] : [sql`id < ${before}::uuid`])
          ])}
          order by id desc limit ${limit + 1}
        `
        const found = rows.slice(0, limit).map((row) => ({ ...toMessage(row), snippet: snippet(row.content, words) }))
        return { found, hasMore: rows.length > limit }
      }, Effect.orDie)

      return Search.of({ find })
    })
  )
}
