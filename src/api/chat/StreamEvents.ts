import { Schema } from "effect"
import { exampleQueued, exampleReply, Message, Status, Usage } from "./Message.ts"
import { Count, Timestamp } from "../Schemas.ts"

/** One server-sent event. Data is one line of JSON, so it needs no splitting. */
export const event = (name: string, data: unknown, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

const StatusData = Schema.Struct({
  status: Status,
  attempt: Count,
  retryAt: Schema.optionalKey(Timestamp.annotate({ description: "While `waiting`: when the next attempt starts." }))
}).annotate({ identifier: "StatusData", description: "The state of the reply." })

const TextData = Schema.Struct({ text: Schema.String }).annotate({ identifier: "TextData", description: "Text of the reply." })

const id = Schema.String.check(Schema.isPattern(/^\d{1,9}:\d{1,9}$/u)).annotate({
  description: "`attempt:offset`, the position to resume from with `Last-Event-ID` or `?after=`."
})

const one = <Name extends string, Data extends Schema.Top>(name: Name, data: Data, description: string) =>
  Schema.Struct({
    event: Schema.Literal(name),
    id: Schema.optionalKey(id),
    data
  }).annotate({ identifier: `${name[0]?.toUpperCase()}${name.slice(1)}Event`, description })

/** The events of a reply's stream; each member is a line of the event. */
export const ReplyEvent = Schema.Union([
  one("status", StatusData, "Sent when the status of the reply changes; without an id."),
  one("delta", TextData, "Text to append."),
  one("replace", TextData, "The whole text so far. A new attempt has started: discard the earlier text."),
  one("usage", Usage, "Token counts, once they are known; without an id."),
  one("completed", Message, "The end: the stored reply."),
  one("failed", Message, "The end: the reply with its `error`."),
  one("cancelled", Message, "The end: the text written before the stop.")
]).annotate({ identifier: "ReplyEvent", description: "An event of the stream; `data` is JSON." })

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
