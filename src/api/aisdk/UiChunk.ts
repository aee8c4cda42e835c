import { Schema } from "effect"
import { ids } from "../Examples.ts"
import { exampleReply, Status } from "../chat/Message.ts"
import { Count, Timestamp } from "../Schemas.ts"
import { exampleMetadata, UiMetadata } from "./UiMessage.ts"

const one = <const Type extends string, Fields extends Schema.Struct.Fields>(type: Type, fields: Fields) =>
  Schema.Struct({ type: Schema.Literal(type), ...fields })

const id = { id: Schema.String }
const delta = { ...id, delta: Schema.String }
const transient = { transient: Schema.Literal(true) }

/** The data of one event of a UI message stream. */
export const UiChunk = Schema.Union([
  one("start", { messageId: Schema.String, messageMetadata: UiMetadata }),
  one("start-step", {}),
  one("data-status", {
    data: Schema.Struct({ status: Status, attempt: Count, retryAt: Schema.optionalKey(Timestamp) }),
    ...transient
  }),
  one("data-title", { data: Schema.Struct({ title: Schema.String }), ...transient }),
  one("reasoning-start", id),
  one("reasoning-delta", delta),
  one("reasoning-end", id),
  one("text-start", id),
  one("text-delta", delta),
  one("text-end", id),
  one("reset-step", {}),
  one("source-url", { sourceId: Schema.String, url: Schema.String, title: Schema.String }),
  one("message-metadata", { messageMetadata: UiMetadata }),
  one("finish-step", {}),
  one("finish", { finishReason: Schema.Literals(["stop", "length", "content-filter"]), messageMetadata: UiMetadata }),
  one("abort", { reason: Schema.String }),
  one("error", { errorText: Schema.String })
]).annotate({
  identifier: "UIMessageChunk",
  description: "The data of an event is one of these as JSON, or `[DONE]` at the end."
})
export type UiChunk = typeof UiChunk.Type

/** A chunk as a server-sent event. */
export const writeChunk = (chunk: UiChunk): string => `data: ${JSON.stringify(chunk)}\n\n`

/** The last event of a stream that has told the whole reply. */
export const streamEnd = "data: [DONE]\n\n"

const { content, model, usage } = exampleReply
const half = content.length / 2
const exampleChunks: ReadonlyArray<UiChunk> = [
  { type: "start", messageId: ids.reply, messageMetadata: exampleMetadata },
  { type: "start-step" },
  { type: "data-status", data: { status: "processing", attempt: 1 }, transient: true },
  { type: "text-start", id: "text-1" },
  { type: "text-delta", id: "text-1", delta: content.slice(0, half) },
  { type: "text-delta", id: "text-1", delta: content.slice(half) },
  { type: "message-metadata", messageMetadata: { usage } },
  { type: "text-end", id: "text-1" },
  { type: "finish-step" },
  {
    type: "finish",
    finishReason: "stop",
    messageMetadata: { status: "completed", model, truncated: false, error: null, usage }
  }
]
export const exampleUiStream = exampleChunks.map(writeChunk).join("") + streamEnd
