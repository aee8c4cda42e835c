import { Schema } from "effect"
import { groundingFields } from "./Grounding.ts"
import { exampleQueued, exampleReply, Message, Status, TokenUsage } from "./Message.ts"
import { Count, Timestamp } from "../Schemas.ts"

/**
 * One server-sent event. Its data repeats the event's name as `type`, for clients that see only the data. Data is one
 * line of JSON, so it needs no splitting.
 */
export const event = (name: string, data: object | null, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify({ type: name, ...data })}\n\n`

const id = Schema.String.check(Schema.isPattern(/^\d{1,9}:\d{1,9}$/u)).annotate({
  description: "`attempt:offset`, the position to resume from with `Last-Event-ID` or `?after=`."
})

const status = {
  status: Status,
  attempt: Count,
  retryAt: Schema.optionalKey(Timestamp.annotate({ description: "While `waiting`: when the next attempt starts." }))
}
const text = { text: Schema.String }

const capitalised = (name: string) => `${name[0]?.toUpperCase()}${name.slice(1)}`

const one = <const Name extends string, Fields extends Schema.Struct.Fields>(name: Name, fields: Fields, description: string) =>
  Schema.Struct({
    event: Schema.Literal(name),
    id: Schema.optionalKey(id),
    data: Schema.Struct({ type: Schema.Literal(name), ...fields }).annotate({ identifier: `${capitalised(name)}Data` })
  }).annotate({ identifier: `${capitalised(name)}Event`, description })

/** The events of a reply's stream; each member is a line of the event. */
export const ReplyEvent = Schema.Union([
  one("status", status, "Sent when the status of the reply changes; without an id."),
  one("delta", text, "Text to append."),
  one("replace", text, "The whole text so far. A new attempt has started: discard the earlier text."),
  one("usage", TokenUsage.fields, "Token counts, once they are known; without an id."),
  one("completed", Message.fields, "The end: the stored reply."),
  one("failed", Message.fields, "The end: the reply with its `error`."),
  one("cancelled", Message.fields, "The end: the text written before the stop."),
  one(
    "title",
    { title: Schema.String },
    "The room got this title from a model, or from its first question, after the reply's question was accepted; without an id. A new connection gets it again."
  ),
  one(
    "thought",
    { text: Schema.String, offset: Count },
    "`text` replaces the thoughts from `offset` (UTF-16 units) on; without an id. A new connection gets all thoughts so far at offset 0. A new attempt begins with an empty text at offset 0. Only with `thinking.summaries`."
  ),
  one(
    "sources",
    groundingFields,
    "The sources of a reply made with tools, once before `completed` or `cancelled`; without an id."
  )
]).annotate({
  identifier: "ReplyEvent",
  description: "An event of the stream; `data` is JSON. Skip events with other names: later releases may add some."
})
/** What an event says, without its form. */
export type ReplyEventData = (typeof ReplyEvent.Type)["data"]

const half = exampleReply.content.length / 2
const words = [exampleReply.content.slice(0, half), exampleReply.content.slice(half)]
export const exampleStream = [
  "retry: 1000\n\n",
  event("status", { status: exampleQueued.status, attempt: 0 }),
  event("status", { status: "processing", attempt: 1 }),
  event("delta", { text: words[0] }, `1:${words[0]?.length}`),
  event("delta", { text: words[1] }, `1:${exampleReply.content.length}`),
  event("usage", exampleReply.usage),
  event("completed", exampleReply, `1:${exampleReply.content.length}`)
].join("")
