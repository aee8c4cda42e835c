import { Schema } from "effect"
import { Count } from "../api/Schemas.ts"
import type { TextDelta } from "./LiveText.ts"

/**
 * The body of a row of `stream_log`. Thoughts come under a key of their own (`thoughtsKey`): a process of a release that
 * knows no thoughts keeps them for a while under that key, which no client follows. Tuples, because the keys of objects would
 * be half of its length.
 */
const Body = Schema.fromJsonString(Schema.Array(Schema.Tuple([Schema.String, Count, Count, Schema.String])))
const decodeBody = Schema.decodeUnknownSync(Body)

export const encodeDeltas = (deltas: ReadonlyArray<TextDelta>): string =>
  JSON.stringify(deltas.map(({ attempt, offset, replyId, text }) => [replyId, attempt, offset, text]))

/** Throws when the body is malformed. */
export const decodeDeltas = (body: string): ReadonlyArray<TextDelta> =>
  decodeBody(body).map(([replyId, attempt, offset, text]) => ({ replyId, attempt, offset, text }))
