import { Effect, Schema } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { defaultLimit, nextLink } from "../api/Pagination.ts"
import { makeCachedCaller } from "../auth/CachedCaller.ts"
import type { Cached } from "../database/NotifiedCache.ts"
import { Cursors } from "../http/Cursors.ts"
import { matchingTag } from "../http/EntityTags.ts"
import { type ImmediateAnswer, ImmediateAnswers } from "../http/ImmediateAnswers.ts"
import { ChatroomList, type EncodedPage } from "./ChatroomList.ts"
import type { ListPosition } from "./Chatrooms.ts"

/** The answer to a request for a page of the list: the page, or 304 when the client has it. */
export const listAnswer = (
  { from, value: page }: Cached<EncodedPage>,
  url: string,
  ifNoneMatch: string | undefined
): ImmediateAnswer => {
  const fresh = {
    "cache-control": "private, no-cache",
    "cache-status": from === "hit" ? "chatrooms; hit" : `chatrooms; fwd=${from}`
  }
  const etag = matchingTag(ifNoneMatch, page.etag)
  if (etag !== undefined) return { status: 304, headers: { etag, ...fresh } }
  const headers = { etag: page.etag, ...fresh, ...nextLink(url, page.nextCursor) }
  return { status: 200, headers, body: { bytes: page.body, contentType: "application/json", gzipped: page.gzipped } }
}

const Position = Schema.Struct({ pinned: Schema.Boolean, activeAt: Schema.String, id: Schema.String })

/** The cursors of one list of one user: that of a search works for no other list. */
export const cursorsOf = (
  cursors: Cursors["Service"],
  userId: UserId,
  { archived = false, search = "" }: { readonly archived?: boolean | undefined; readonly search?: string | undefined }
) => {
  const list = `chatrooms:${userId}:${archived}:${search}`
  return {
    encode: (position: ListPosition) => cursors.encode(list, { ...position }),
    decode: (cursor: string) => cursors.decode(list, Position, cursor)
  }
}

/** The page size of a query with nothing else, in its usual spelling. */
const limitOf = (query: string): number | undefined => {
  if (query === "") return defaultLimit
  const limit = /^limit=([1-9]\d?|100)$/.exec(query)?.[1]
  return limit === undefined ? undefined : Number(limit)
}

/** Answers with first pages for callers that are in memory, and with one read where the page is not. */
export const answerFirstPages = Effect.gen(function* () {
  const chatroomList = yield* ChatroomList
  const cursors = yield* Cursors
  const cachedCaller = yield* makeCachedCaller
  const answers = yield* ImmediateAnswers

  answers.add("/chatroom", ({ headers, query, url }) => {
    const limit = limitOf(query)
    const caller = limit === undefined ? undefined : cachedCaller(headers.authorization)
    if (limit === undefined || caller === undefined) return undefined
    const { userId } = caller
    const ifNoneMatch = headers["if-none-match"]
    const value = chatroomList.peek(userId, limit)
    if (value !== undefined) return listAnswer({ value, from: "hit" }, url, ifNoneMatch)
    const page = chatroomList.page(userId, { limit, archived: false }, cursorsOf(cursors, userId, {}).encode)
    return Effect.map(page, (found) => listAnswer(found, url, ifNoneMatch))
  })
})
