import type { Person, Reply } from "./Client.ts"

export const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
export const unknownId = "01980000-0000-7000-8000-000000000000"

export const isPresent = <A>(value: A | undefined): value is A => value !== undefined

export const countStatuses = (replies: ReadonlyArray<Reply>): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const { status } of replies) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** The distinct paths in a 400's list of errors. */
export const faultPaths = (reply: Reply): ReadonlyArray<string> => [
  ...new Set<string>((reply.body.errors ?? []).map(({ path }: { path: string }) => path))
]

/** Reads all pages of a list by cursor, and returns the items by page. */
export const readPages = async <A>(person: Person, path: string): Promise<Array<Array<A>>> => {
  const pages: Array<Array<A>> = []
  let cursor = ""
  while (true) {
    const page = await person.call("GET", path + cursor)
    if (page.status !== 200) throw new Error(page.text)
    pages.push(page.body.data)
    if (page.body.hasMore !== (page.body.nextCursor !== null)) throw new Error("hasMore and nextCursor disagree")
    if (!page.body.hasMore) return pages
    cursor = `${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(page.body.nextCursor)}`
  }
}

/** The next page's path, from the `Link` header. */
export const nextLink = (reply: Reply): string | undefined => /<([^>]+)>; rel="next"/.exec(reply.headers.get("link") ?? "")?.[1]
