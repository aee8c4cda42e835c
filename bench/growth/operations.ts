import { v7 as uuid } from "uuid"

/** A room of the measured user, and the token. */
export interface Asker {
  readonly url: string
  readonly token: string
  readonly roomId: string
}

/** A request of a user, `index` of many: none is answered from the cache of the one before. */
interface Operation {
  readonly name: string
  readonly run: (asker: Asker, index: number) => Promise<void>
}

const request = async ({ token, url }: Asker, path: string, status: number, body?: object): Promise<void> => {
  const response = await fetch(url + path, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json", "idempotency-key": uuid() })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await response.text()
  if (response.status !== status) throw new Error(`${path} answered ${response.status}: ${text}`)
}

export const operations: ReadonlyArray<Operation> = [
  // Each size is read for the first time.
  { name: "list", run: (asker, index) => request(asker, `/chatroom?limit=${20 + index}`, 200) },
  { name: "history", run: (asker) => request(asker, `/chatroom/${asker.roomId}/messages?limit=20`, 200) },
  { name: "search, found at once", run: (asker) => request(asker, "/search?q=loom&limit=20", 200) },
  { name: "search, not found", run: (asker) => request(asker, "/search?q=steam%20engine&limit=20", 200) },
  {
    name: "send and wait for the reply, model at 0 ms",
    run: (asker) =>
      request(asker, `/chatroom/${asker.roomId}/message?wait=30`, 201, { content: "What does it weave? [[length 200]]" })
  }
]

/** Statements of which Postgres' own time is shown, by a part of their text. */
export const statements: Readonly<Record<string, string>> = {
  send: "%send_message(%",
  claim: "%update messages m set status = %lease_until%",
  context: "%with recursive path as (%",
  finish: "%finish_reply(%"
}
