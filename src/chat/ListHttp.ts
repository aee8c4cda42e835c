import { Effect } from "effect"
import { defaultLimit, nextLink } from "../api/Pagination.ts"
import { makeKnownCaller } from "../auth/KnownCaller.ts"
import type { Cached } from "../database/NotifiedCache.ts"
import { matchingTag } from "../http/EntityTags.ts"
import { type ImmediateAnswer, ImmediateAnswers } from "../http/ImmediateAnswers.ts"
import { ChatroomList, type EncodedPage } from "./ChatroomList.ts"

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

/** The page size of a query with nothing else, in its usual spelling. */
const limitOf = (query: string): number | undefined => {
  if (query === "") return defaultLimit
  const limit = /^limit=([1-9]\d?|100)$/.exec(query)?.[1]
  return limit === undefined ? undefined : Number(limit)
}

/** Answers the list immediately when the caller and the page are in memory. */
export const answerKnownList = Effect.gen(function* () {
  const chatroomList = yield* ChatroomList
  const knownCaller = yield* makeKnownCaller
  const answers = yield* ImmediateAnswers

  answers.add("/chatroom", ({ headers, query, url }) => {
    const limit = limitOf(query)
    const caller = limit === undefined ? undefined : knownCaller(headers.authorization)
    const page = limit === undefined || caller === undefined ? undefined : chatroomList.peek(caller.userId, limit)
    return page === undefined ? undefined : listAnswer({ value: page, from: "hit" }, url, headers["if-none-match"])
  })
})
