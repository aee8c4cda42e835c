/**
 * What a notification can be about: `kind:id`.
 *
 * - `chatrooms:<user id>`: the user's list of rooms changed.
 * - `sessions:<user id>`: a session ended, or the user or the tier changed. The writer notifies in its transaction.
 * - `reply:<reply id>`: a reply changed; above all, it ended.
 * - `attempt:<reply id>`: an attempt at a reply began, which only its streams show.
 * - `title:<room id>`: a room with replies in progress got an automatic title.
 * - `stop:<reply id>`: the worker that makes the reply must stop.
 */
export type TopicKind = "chatrooms" | "sessions" | "reply" | "attempt" | "title" | "stop"

export type Topic = `${TopicKind}:${string}`

export const topicOf = (kind: TopicKind, id: string): Topic => `${kind}:${id}`

/** The kind and id of a received topic. The kind may be unknown: another process may run an older or newer release. */
export const parseTopic = (text: string): { readonly kind: string; readonly id: string } => {
  const end = text.indexOf(":")
  return { kind: text.slice(0, end), id: text.slice(end + 1) }
}
