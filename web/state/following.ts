import { signal } from "@preact/signals"
import type { ReplyEvent } from "../../client/src/contract.ts"
import { applyEvent, isEnd } from "../../client/src/events.ts"
import { messageOf } from "../api/problem.ts"
import { follow } from "../api/stream.ts"
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

/** Puts an event of the stream into the reply. */
const apply = (roomId: string, id: string, event: ReplyEvent): void => {
  if (event.type === "title") return updateRoom(roomId, { title: event.title, titleSource: "model" })
  const reply = messages.value.get(id)
  if (reply === undefined) return
  if (isEnd(event)) announce(endings[event.type] ?? "")
  putMessages([applyEvent(reply, event)])
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
    onEvent: (event: ReplyEvent) => apply(chatroomId, id, event),
    onLost: () => {
      setLine(id, "lost")
      announce("Connection lost. Reconnecting.")
    },
    onResumed: () => {
      setLine(id, "resumed")
      announce("Connected again. The reply continues.")
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
