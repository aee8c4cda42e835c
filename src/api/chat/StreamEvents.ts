import { Schema } from "effect"
import { exampleQueued, exampleReply, Message, Status, TokenUsage } from "./Message.ts"
import { Count, Timestamp } from "../Schemas.ts"

/** One server-sent event. Data is one line of JSON, so it needs no splitting. */
export const event = (name: string, data: unknown, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

const StatusData = Schema.Struct({
  status: Status,
  attempt: Count,
  retryAt: Schema.optionalKey(Timestamp.annotate({ description: "While `waiting`: when the model is asked again." }))
}).annotate({ identifier: "StatusData", description: "How far the reply is." })

const TextData = Schema.Struct({ text: Schema.String }).annotate({ identifier: "TextData", description: "Text of the reply." })

const id = Schema.String.check(Schema.isPattern(/^\d{1,9}:\d{1,9}$/u)).annotate({
  description: "`attempt:offset`: where to resume from, with `Last-Event-ID` or `?after=`."
})

const one = <Name extends string, Data extends Schema.Top>(name: Name, data: Data, description: string) =>
  Schema.Struct({
    event: Schema.Literal(name),
    id: Schema.optionalKey(id),
    data
  }).annotate({ identifier: `${name[0]?.toUpperCase()}${name.slice(1)}Event`, description })

/** The events of a reply's stream, each with the lines of it as members. */
export const ReplyEvent = Schema.Union([
  one("status", StatusData, "The reply's status, when it changes; without an id."),
  one("delta", TextData, "More text, to be put after what came before."),
  one("replace", TextData, "All the text there is: a new attempt has begun, so what came before is void."),
  one("usage", TokenUsage, "Tokens, once they are known; without an id."),
  one("completed", Message, "The end: the reply as it is stored."),
  one("failed", Message, "The end: the reply with its `error`."),
  one("cancelled", Message, "The end: what was written before it was stopped.")
]).annotate({ identifier: "ReplyEvent", description: "An event of the stream; its data is JSON." })

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
