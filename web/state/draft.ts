import { signal } from "@preact/signals"
import { ask } from "./conversation.ts"
import { createRoom, openRoomId } from "./rooms.ts"

/** Characters that a question may have. */
export const longestQuestion = 32_000

/** The question that is being written. */
export const draft = signal("")
/** Whether the answer is asked for in JSON. */
export const wantsJson = signal(false)
export const isSending = signal(false)

/** Sends the draft; without an open room, it opens one. A refused question stays in the field. */
export const sendDraft = async (): Promise<void> => {
  const content = draft.value
  if (content.trim() === "" || isSending.value) return
  isSending.value = true
  draft.value = ""
  try {
    const roomId = openRoomId.value ?? (await createRoom()).id
    openRoomId.value = roomId
    history.replaceState(null, "", `#${roomId}`)
    await ask(roomId, content, wantsJson.value ? { responseFormat: { type: "json" } } : undefined)
  } catch (error) {
    if (draft.value === "") draft.value = content
    throw error
  } finally {
    isSending.value = false
  }
}
