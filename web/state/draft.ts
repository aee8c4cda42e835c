import { batch, computed, signal } from "@preact/signals"
import { ask } from "./conversation.ts"
import { attachedIds, draftFiles, isUploading, releaseFiles } from "./files.ts"
import { createRoom, openRoomId } from "./rooms.ts"

/** Characters that a question may have. */
export const longestQuestion = 32_000

/** The question that is being written. */
export const draft = signal("")
/** Whether the answer is asked for in JSON. */
export const wantsJson = signal(false)
export const isSending = signal(false)

/** A question has words or files, all of which are uploaded. */
export const canSend = computed(
  () => !isSending.value && !isUploading.value && (draft.value.trim() !== "" || attachedIds.value.length > 0)
)

/** What is sent: text that is blank beside files is none, and refused files stay behind. */
const bodyOf = (text: string) => ({
  content: text.trim() === "" ? "" : text,
  ...(attachedIds.value.length === 0 ? {} : { attachments: attachedIds.value }),
  ...(wantsJson.value ? { settings: { responseFormat: { type: "json" as const } } } : {})
})

/** Sends the draft; without an open room, it opens one. A refused question stays in the field, with its files. */
export const sendDraft = async (): Promise<void> => {
  if (!canSend.value) return
  const [text, files, body] = [draft.value, draftFiles.value, bodyOf(draft.value)]
  batch(() => {
    isSending.value = true
    draft.value = ""
    draftFiles.value = []
  })
  try {
    const roomId = openRoomId.value ?? (await createRoom()).id
    openRoomId.value = roomId
    history.replaceState(null, "", `#${roomId}`)
    await ask(roomId, body)
    releaseFiles(files)
  } catch (error) {
    if (draft.value === "") draft.value = text
    draftFiles.value = [...files, ...draftFiles.value]
    throw error
  } finally {
    isSending.value = false
  }
}
