import { call, idempotencyKey } from "../api/client.ts"
import type { RequestOf, ResponseOf } from "../api/contract.ts"
import { Problem } from "../api/problem.ts"

export type Share = ResponseOf<"GET /shares">["data"][number]
export type NewShare = ResponseOf<"POST /chatroom/:id/share">

type Wishes = NonNullable<RequestOf<"POST /chatroom/:id/share">["body"]>

/** Makes a link that ends after some seconds, or never by itself. */
export const shareRoom = async (id: string, body: Wishes): Promise<NewShare> => {
  try {
    return await call("POST /chatroom/:id/share", { params: { id }, headers: idempotencyKey(), body })
  } catch (error) {
    if (error instanceof Problem && error.code === "not_found")
      throw new Error("This server does not share conversations", { cause: error })
    throw error
  }
}

export const loadShares = async (): Promise<ReadonlyArray<Share>> => (await call("GET /shares", { query: { limit: 100 } })).data
export const revokeShare = (id: string): Promise<void> => call("DELETE /shares/:id", { params: { id } })
