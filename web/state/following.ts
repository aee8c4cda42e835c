import { signal } from "@preact/signals"
import { messageOf } from "../api/problem.ts"
import { follow, type StreamEvent } from "../api/stream.ts"
import { announce, show } from "./announcements.ts"
import { loadMe } from "./account.ts"
import { type Message, messages, patchMessage, putMessages } from "./messages.ts"
import { updateRoom } from "./rooms.ts"

/** How the connection of a reply that is being written is doing, by reply. */
export type Line = "open" | "lost" | "resumed"
export const lines = signal<ReadonlyMap<string, Line>>(new Map())

const followed = new Map<string, AbortController>()
const resumedMillis = 4_000

const setLine = (id: string, line: Line | undefined): void => {
  const next = new Map(lines.value)
  if (line === undefined) next.delete(id)
  else next.set(id, line)
  lines.value = next
}

const endings: Readonly<Record<string, string>> = {
  completed: "Reply complete",
  failed: "The reply failed",
  cancelled: "The reply was stopped"
}

const insertAt = (text: string, offset: number, added: string): string => text.slice(0, offset) + added

/** Puts an event of the stream into the reply. Events with other names are skipped: later releases may add some. */
const apply = (roomId: string, id: string, event: StreamEvent): void => {
  const reply = messages.value.get(id)
  if (event.type === "title") return updateRoom(roomId, { title: event.title, titleSource: "model" })
  if (reply === undefined) return
  switch (event.type) {
    case "status":
      return patchMessage(id, { status: event.status, attempt: event.attempt })
    case "delta":
      return patchMessage(id, { content: reply.content + event.text })
    case "replace":
      return patchMessage(id, { content: event.text })
    case "thought":
      return patchMessage(id, { thoughts: insertAt(reply.thoughts ?? "", event.offset, event.text) })
    case "usage": {
      const { type: _, ...usage } = event
      return patchMessage(id, { usage })
    }
    case "sources": {
      const { type: _, ...grounding } = event
      return patchMessage(id, grounding)
    }
    case "completed":
    case "failed":
    case "cancelled": {
      const { type, ...message } = event
      announce(endings[type] ?? "")
      return putMessages([message])
    }
  }
}

/** Follows a reply to its end, over lost connections. */
export const followReply = (reply: Pick<Message, "chatroomId" | "id">): void => {
  const { chatroomId, id } = reply
  if (followed.has(id)) return
  const controller = new AbortController()
  followed.set(id, controller)
  setLine(id, "open")
  // The stream tells the whole text from its beginning.
  patchMessage(id, { content: "" })
  const end = () => {
    followed.delete(id)
    // That it was resumed is said for its time, also when the end came at once.
    if (lines.value.get(id) !== "resumed") setLine(id, undefined)
    // A failure refunds the question, and a budget is settled at the end.
    loadMe().catch(() => {})
  }
  const handlers = {
    onEvent: (event: StreamEvent) => apply(chatroomId, id, event),
    onLost: () => {
      setLine(id, "lost")
      announce("Connection lost. Reconnecting.")
    },
    onResumed: () => {
      setLine(id, "resumed")
      announce("Connected again. The reply goes on.")
      const settle = () => lines.value.get(id) === "resumed" && setLine(id, followed.has(id) ? "open" : undefined)
      setTimeout(settle, resumedMillis)
    },
    onEnd: end,
    onRefused: (problem: Error) => {
      end()
      show({ kind: "error", text: messageOf(problem) })
    }
  }
  void follow(reply, handlers, controller.signal)
}

export const stopFollowing = (): void => {
  for (const controller of followed.values()) controller.abort()
  followed.clear()
  lines.value = new Map()
}
